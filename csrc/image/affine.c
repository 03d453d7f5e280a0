/* affine: the inverse map of a random rotation, shift, shear and zoom, and reading an image through it.
 *
 * The order of composition is torchvision's: shift to the origin, shear, rotate, zoom, shift back, shift by translate.
 *
 * Borders: the plane around the image has the fill colour.  A pixel whose centre lands up to one pixel outside is a
 * blend of image and fill, so the edges of a turned image are smooth, and an outer pixel that keeps its place keeps
 * its value.
 */
#include <math.h>
#include <string.h>

#include "base/codes.h"
#include "image/transform.h"
#include "random/philox.h"

struct affine {
    int32_t filter;     /* FF_NEAREST or FF_BILINEAR */
    float degrees[2];   /* a range, as are scale and the shears */
    float translate[2]; /* largest shifts, as fractions of width and height */
    float scale[2];
    float shear_x[2], shear_y[2]; /* degrees */
    float fill[3];                /* outside the picture, 0..255 */
};

#define DEGREE 0.017453292519943295 /* pi / 180 */
#define ONE ((int64_t)1 << FF_BLEND_FRACTION)

/* Maps that leave this range of coordinates show next to nothing of an image; within it 62-bit sums cannot overflow. */
#define FARTHEST 1073741824.0

static double between(const ff_key *key, uint32_t op_number, uint32_t draw, const float range[2])
{
    const double low = (double)range[0], high = (double)range[1];
    return low + (high - low) * ff_uniform(key, op_number, draw);
}

/* Draw one map for an image of width x height: m takes output pixel (x, y) to the input,
 * x_in = m[0] x + m[1] y + m[2], y_in = m[3] x + m[4] y + m[5], in pixel indices (centres at whole numbers).
 * Draw 0 is the angle, 1 and 2 the shifts, 3 the zoom, 4 and 5 the shears. */
static void draw(const struct affine *op, const ff_key *key, uint32_t op_number, int64_t width, int64_t height,
                 double m[6])
{
    const double angle = DEGREE * between(key, op_number, 0, op->degrees);
    const double dx = (double)op->translate[0] * (double)width, dy = (double)op->translate[1] * (double)height;
    const double tx = rint(dx * (2.0 * ff_uniform(key, op_number, 1) - 1.0)); /* whole pixels, as torchvision */
    const double ty = rint(dy * (2.0 * ff_uniform(key, op_number, 2) - 1.0));
    const double zoom = between(key, op_number, 3, op->scale);
    const double shear_x = DEGREE * between(key, op_number, 4, op->shear_x);
    const double shear_y = DEGREE * between(key, op_number, 5, op->shear_y);

    /* Forward: rotate(angle) * shear, without the zoom. */
    const double a = cos(angle - shear_y) / cos(shear_y);
    const double b = -a * tan(shear_x) - sin(angle);
    const double c = sin(angle - shear_y) / cos(shear_y);
    const double d = -c * tan(shear_x) + cos(angle);
    /* Its determinant is 1, so the inverse is the adjugate. */
    m[0] = d / zoom;
    m[1] = -b / zoom;
    m[3] = -c / zoom;
    m[4] = a / zoom;
    /* About the centre of the image, in pixel indices: a frame of n pixels has its centre at (n - 1) / 2. */
    const double cx = 0.5 * (double)(width - 1), cy = 0.5 * (double)(height - 1);
    m[2] = cx - m[0] * (cx + tx) - m[1] * (cy + ty);
    m[5] = cy - m[3] * (cx + tx) - m[4] * (cy + ty);
}

typedef struct source {
    ff_blend_source image;
    int64_t width;
    uint8_t fill[3];
} source;

static const uint8_t *at(const source *s, int64_t x, int64_t y)
{
    const int in = x >= 0 && x < s->width && y >= 0 && y < s->image.height;
    return in ? s->image.pixels + y * s->image.stride + x * 3 : s->fill;
}

/* One pixel wherever it lies. */
static void pixel_anywhere(const source *s, uint8_t *to, int64_t x, int64_t y)
{
    const int64_t ix = x >> FF_BLEND_FRACTION, iy = y >> FF_BLEND_FRACTION;
    if (ix < -1 || ix >= s->width || iy < -1 || iy >= s->image.height) {
        memcpy(to, s->fill, 3);
        return;
    }
    const uint8_t *p00 = at(s, ix, iy), *p01 = at(s, ix + 1, iy);
    const uint8_t *p10 = at(s, ix, iy + 1), *p11 = at(s, ix + 1, iy + 1);
    for (int c = 0; c < 3; c++)
        to[c] = ff_blend(p00[c], p01[c], p10[c], p11[c], ff_blend_weight(x), ff_blend_weight(y));
}

static void nearest_anywhere(const source *s, uint8_t *to, int64_t x, int64_t y)
{
    const uint8_t *p = at(s, x >> FF_BLEND_FRACTION, y >> FF_BLEND_FRACTION);
    to[0] = p[0], to[1] = p[1], to[2] = p[2];
}

/* Are the pixel at (x, y) and its right and lower neighbours all in the image? */
static int inside(const source *s, int64_t x, int64_t y)
{
    return x >= 0 && x >> FF_BLEND_FRACTION < s->width - 1 && y >= 0 && y >> FF_BLEND_FRACTION < s->image.height - 1;
}

static int representable(const double m[6], int64_t width, int64_t height)
{
    for (int r = 0; r < 6; r += 3) {
        const double reach = fabs(m[r]) * (double)width + fabs(m[r + 1]) * (double)height + fabs(m[r + 2]);
        if (!(reach < FARTHEST)) /* NaN included */
            return 0;
    }
    return 1;
}

/* From p's packed pixels to dst of the same size. */
static void map_picture(const ff_picture *p, uint8_t *dst, const double m[6], int32_t filter, const float fill[3])
{
    const int64_t width = p->width, height = p->height, dst_stride = width * 3;
    source s = {.image = {p->rgb, p->stride, height}, .width = width};
    for (int c = 0; c < 3; c++)
        s.fill[c] = (uint8_t)(fill[c] <= 0.0f ? 0.0f : fill[c] >= 255.0f ? 255.0f : fill[c] + 0.5f);
    if (!representable(m, width, height)) {
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++)
                memcpy(dst + y * dst_stride + x * 3, s.fill, 3);
        return;
    }
    const int64_t dx = llrint(m[0] * (double)ONE), dy = llrint(m[3] * (double)ONE);
    const double half = filter == FF_NEAREST ? 0.5 : 0.0; /* nearest: the pixel whose square holds the point */
    for (int64_t row = 0; row < height; row++) {
        uint8_t *to = dst + row * dst_stride;
        const int64_t x0 = llrint((m[1] * (double)row + m[2] + half) * (double)ONE);
        const int64_t y0 = llrint((m[4] * (double)row + m[5] + half) * (double)ONE);
        if (filter == FF_NEAREST) {
            for (int64_t i = 0; i < width; i++)
                nearest_anywhere(&s, to + 3 * i, x0 + i * dx, y0 + i * dy);
            continue;
        }
        /* The map is linear, so the pixels that are inside are one run of the row. */
        int64_t i = 0, end = width;
        for (; i < end && !inside(&s, x0 + i * dx, y0 + i * dy); i++)
            pixel_anywhere(&s, to + 3 * i, x0 + i * dx, y0 + i * dy);
        while (end > i && !inside(&s, x0 + (end - 1) * dx, y0 + (end - 1) * dy))
            end--;
        i += p->loops->blend(&s.image, to + 3 * i, end - i, x0 + i * dx, y0 + i * dy, dx, dy);
        for (; i < width; i++)
            pixel_anywhere(&s, to + 3 * i, x0 + i * dx, y0 + i * dy);
    }
}

static int apply(ff_picture *p, const void *parameters, uint32_t number)
{
    const struct affine *op = parameters;
    int code = ff_picture_materialise(p);
    if (code != FF_OK)
        return code;
    uint8_t *pixels = ff_picture_other(p, p->width, p->height);
    if (pixels == NULL)
        return ff_fail(p->err, FF_E_MEMORY, "no memory for an affine map");
    double m[6];
    draw(op, p->key, number, p->width, p->height, m);
    map_picture(p, pixels, m, op->filter, op->fill);
    ff_picture_go_on_from(p, pixels, p->width, p->height);
    return FF_OK;
}

const ff_transform ff_affine = {"affine", sizeof(struct affine), 0, NULL, apply};
