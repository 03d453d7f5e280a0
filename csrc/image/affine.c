/* affine: the inverse map of a random rotation, shift, shear and zoom, and reading an image through it.
 *
 * The order of composition is torchvision's: shift to the origin, shear, rotate, zoom, shift back, shift by translate.
 *
 * Borders: the plane around the image has the fill colour.  A pixel whose centre lands up to one pixel outside is a
 * blend of image and fill, so the edges of a turned image are smooth, and an outer pixel that keeps its place keeps
 * its value.
 */
#include "image/affine.h"

#include "simd/cpu.h"
#include "random/philox.h"

#include <math.h>
#include <string.h>

#define DEGREE 0.017453292519943295 /* pi / 180 */

/* Input coordinates are fixed point with 32 fraction bits: over 2^16 pixels of a row the rounded step drifts by at most
 * 2^-17 pixel.  Bilinear weights are the topmost 11 of those bits: with two axes the result is within 0.13 of exact.
 * A blended row value 255 * 2^11 is brought down to 15 bits, so that both blends fit 16-bit multiplication. */
#define FRACTION 32
#define ONE ((int64_t)1 << FRACTION)
#define WEIGHT 11
#define WEIGHT_ONE (1 << WEIGHT)
#define TOP 7 /* fraction bits that a value keeps between the two blends */

/* Maps that leave this range of coordinates show next to nothing of an image; within it 62-bit sums cannot overflow. */
#define FARTHEST 1073741824.0

static double between(const ff_key *key, uint32_t op_number, uint32_t draw, const float range[2])
{
    const double low = (double)range[0], high = (double)range[1];
    return low + (high - low) * ff_uniform(key, op_number, draw);
}

void ff_affine_draw(const ff_op *op, const ff_key *key, uint32_t op_number, int64_t width, int64_t height, double m[6])
{
    const double angle = DEGREE * between(key, op_number, 0, op->f);
    const double dx = (double)op->f[2] * (double)width, dy = (double)op->f[3] * (double)height;
    const double tx = rint(dx * (2.0 * ff_uniform(key, op_number, 1) - 1.0)); /* whole pixels, as torchvision */
    const double ty = rint(dy * (2.0 * ff_uniform(key, op_number, 2) - 1.0));
    const double zoom = between(key, op_number, 3, op->f + 4);
    const double shear_x = DEGREE * between(key, op_number, 4, op->f + 6);
    const double shear_y = DEGREE * between(key, op_number, 5, op->f + 8);

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
    const uint8_t *pixels;
    int64_t stride, width, height;
    uint8_t fill[3];
} source;

static const uint8_t *at(const source *s, int64_t x, int64_t y)
{
    return x >= 0 && x < s->width && y >= 0 && y < s->height ? s->pixels + y * s->stride + x * 3 : s->fill;
}

static uint8_t blend(uint32_t p00, uint32_t p01, uint32_t p10, uint32_t p11, uint32_t fx, uint32_t fy)
{
    const uint32_t half = 1u << (WEIGHT - TOP - 1);
    const uint32_t top = (p00 * (WEIGHT_ONE - fx) + p01 * fx + half) >> (WEIGHT - TOP);
    const uint32_t bottom = (p10 * (WEIGHT_ONE - fx) + p11 * fx + half) >> (WEIGHT - TOP);
    return (uint8_t)((top * (WEIGHT_ONE - fy) + bottom * fy + (1u << (WEIGHT + TOP - 1))) >> (WEIGHT + TOP));
}

static uint32_t weight(int64_t fixed)
{
    return (uint32_t)fixed >> (FRACTION - WEIGHT);
}

/* One pixel wherever it lies. */
static void pixel_anywhere(const source *s, uint8_t *to, int64_t x, int64_t y)
{
    const int64_t ix = x >> FRACTION, iy = y >> FRACTION;
    if (ix < -1 || ix >= s->width || iy < -1 || iy >= s->height) {
        memcpy(to, s->fill, 3);
        return;
    }
    const uint8_t *p00 = at(s, ix, iy), *p01 = at(s, ix + 1, iy);
    const uint8_t *p10 = at(s, ix, iy + 1), *p11 = at(s, ix + 1, iy + 1);
    for (int c = 0; c < 3; c++)
        to[c] = blend(p00[c], p01[c], p10[c], p11[c], weight(x), weight(y));
}

static void nearest_anywhere(const source *s, uint8_t *to, int64_t x, int64_t y)
{
    const uint8_t *p = at(s, x >> FRACTION, y >> FRACTION);
    to[0] = p[0], to[1] = p[1], to[2] = p[2];
}

/* Are the pixel at (x, y) and its right and lower neighbours all in the image? */
static int inside(const source *s, int64_t x, int64_t y)
{
    return x >= 0 && x >> FRACTION < s->width - 1 && y >= 0 && y >> FRACTION < s->height - 1;
}

/* A run of pixels that are all inside; returns how many it did, the rest is left to the caller. */
typedef int64_t run_inside(const source *s, uint8_t *to, int64_t n, int64_t x, int64_t y, int64_t dx, int64_t dy);

static int64_t run_plain(const source *s, uint8_t *to, int64_t n, int64_t x, int64_t y, int64_t dx, int64_t dy)
{
    for (int64_t i = 0; i < n; i++, to += 3, x += dx, y += dy) {
        const uint8_t *p = s->pixels + (y >> FRACTION) * s->stride + (x >> FRACTION) * 3, *q = p + s->stride;
        for (int c = 0; c < 3; c++)
            to[c] = blend(p[c], p[c + 3], q[c], q[c + 3], weight(x), weight(y));
    }
    return n;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Eight pixels at a time; the same integer arithmetic as blend(), so the same bits. */
__attribute__((target("avx2"))) static int64_t run_avx2(const source *s, uint8_t *to, int64_t n, int64_t x, int64_t y,
                                                        int64_t dx, int64_t dy)
{
    if (n < 8 || s->stride * s->height > INT32_MAX) /* gathers take 32-bit offsets */
        return run_plain(s, to, n, x, y, dx, dy);
    /* shuffle_ps works on halves, so the pixels 0 1 4 5 and 2 3 6 7 come out of it in order. */
    __m256i xa = _mm256_setr_epi64x(x, x + dx, x + 4 * dx, x + 5 * dx);
    __m256i ya = _mm256_setr_epi64x(y, y + dy, y + 4 * dy, y + 5 * dy);
    __m256i xb = _mm256_add_epi64(xa, _mm256_set1_epi64x(2 * dx));
    __m256i yb = _mm256_add_epi64(ya, _mm256_set1_epi64x(2 * dy));
    const __m256i step_x = _mm256_set1_epi64x(8 * dx), step_y = _mm256_set1_epi64x(8 * dy);
    const __m256i stride = _mm256_set1_epi32((int)s->stride), three = _mm256_set1_epi32(3);
    const __m256i low8 = _mm256_set1_epi32(255), one = _mm256_set1_epi32(WEIGHT_ONE);
    const __m256i half = _mm256_set1_epi32(1 << (WEIGHT - TOP - 1)), half2 = _mm256_set1_epi32(1 << (WEIGHT + TOP - 1));
    const __m256i pack = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8,
                                          9, 10, 12, 13, 14, -1, -1, -1, -1);
    const int *left = (const int *)(const void *)s->pixels; /* R G B of a pixel and R of the next */
    const int *right = (const int *)(const void *)(s->pixels + 2); /* B of a pixel and the whole next one */
    int64_t i = 0;
    for (; i + 8 <= n; i += 8, to += 24) {
#define HIGH(a, b) _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xDD))
#define LOW(a, b) _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88))
        const __m256i upper = _mm256_add_epi32(_mm256_mullo_epi32(HIGH(ya, yb), stride),
                                               _mm256_mullo_epi32(HIGH(xa, xb), three));
        const __m256i lower = _mm256_add_epi32(upper, stride);
        const __m256i fx = _mm256_srli_epi32(LOW(xa, xb), FRACTION - WEIGHT);
        const __m256i fy = _mm256_srli_epi32(LOW(ya, yb), FRACTION - WEIGHT);
        const __m256i wx = _mm256_or_si256(_mm256_sub_epi32(one, fx), _mm256_slli_epi32(fx, 16));
        const __m256i wy = _mm256_or_si256(_mm256_sub_epi32(one, fy), _mm256_slli_epi32(fy, 16));
        const __m256i p0 = _mm256_i32gather_epi32(left, upper, 1), p1 = _mm256_i32gather_epi32(right, upper, 1);
        const __m256i q0 = _mm256_i32gather_epi32(left, lower, 1), q1 = _mm256_i32gather_epi32(right, lower, 1);
        __m256i rgb = _mm256_setzero_si256();
#define CHANNEL(shift)                                                                                                 \
    do {                                                                                                               \
        const __m256i pl = _mm256_and_si256(_mm256_srli_epi32(p0, shift), low8);                                       \
        const __m256i pr = _mm256_and_si256(_mm256_srli_epi32(p1, shift + 8), low8);                                   \
        const __m256i ql = _mm256_and_si256(_mm256_srli_epi32(q0, shift), low8);                                       \
        const __m256i qr = _mm256_and_si256(_mm256_srli_epi32(q1, shift + 8), low8);                                   \
        const __m256i p = _mm256_madd_epi16(_mm256_or_si256(pl, _mm256_slli_epi32(pr, 16)), wx);                       \
        const __m256i q = _mm256_madd_epi16(_mm256_or_si256(ql, _mm256_slli_epi32(qr, 16)), wx);                       \
        const __m256i ps = _mm256_srli_epi32(_mm256_add_epi32(p, half), WEIGHT - TOP);                                 \
        const __m256i qs = _mm256_srli_epi32(_mm256_add_epi32(q, half), WEIGHT - TOP);                                 \
        const __m256i v = _mm256_madd_epi16(_mm256_or_si256(ps, _mm256_slli_epi32(qs, 16)), wy);                       \
        rgb = _mm256_or_si256(rgb, _mm256_slli_epi32(_mm256_srli_epi32(_mm256_add_epi32(v, half2), WEIGHT + TOP),      \
                                                     shift));                                                          \
    } while (0)
        CHANNEL(0);
        CHANNEL(8);
        CHANNEL(16);
        const __m256i packed = _mm256_shuffle_epi8(rgb, pack);
        uint8_t out[32];
        _mm256_storeu_si256((__m256i *)(void *)out, packed);
        memcpy(to, out, 12); /* not one byte past the pixels: the row may end here */
        memcpy(to + 12, out + 16, 12);
        xa = _mm256_add_epi64(xa, step_x), xb = _mm256_add_epi64(xb, step_x);
        ya = _mm256_add_epi64(ya, step_y), yb = _mm256_add_epi64(yb, step_y);
    }
    return i;
}
#endif

static int representable(const double m[6], int64_t width, int64_t height)
{
    for (int r = 0; r < 6; r += 3) {
        const double reach = fabs(m[r]) * (double)width + fabs(m[r + 1]) * (double)height + fabs(m[r + 2]);
        if (!(reach < FARTHEST)) /* NaN included */
            return 0;
    }
    return 1;
}

void ff_affine_rgb8(const uint8_t *src, int64_t src_stride, uint8_t *dst, int64_t dst_stride, int64_t width,
                    int64_t height, const double m[6], int filter, const float fill[3])
{
    source s = {src, src_stride, width, height, {0, 0, 0}};
    for (int c = 0; c < 3; c++)
        s.fill[c] = (uint8_t)(fill[c] <= 0.0f ? 0.0f : fill[c] >= 255.0f ? 255.0f : fill[c] + 0.5f);
    if (!representable(m, width, height)) {
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++)
                memcpy(dst + y * dst_stride + x * 3, s.fill, 3);
        return;
    }
    run_inside *run = run_plain;
#if defined(__x86_64__)
    if (ff_rows_active() != &ff_rows_plain)
        run = run_avx2;
#endif
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
        i += run(&s, to + 3 * i, end - i, x0 + i * dx, y0 + i * dy, dx, dy);
        for (; i < width; i++)
            pixel_anywhere(&s, to + 3 * i, x0 + i * dx, y0 + i * dy);
    }
}
