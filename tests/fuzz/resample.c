/* resample: resizes, crops and flips of a small picture against the definition, in doubles, pixel by pixel. */
#include "fuzz.h"

#include <math.h>

#include "image/image.h"
#include "simd/cpu.h"

#define PI 3.14159265358979323846

enum { SIDE = 24, RESIZE = 1, CENTER_CROP = 2, HORIZONTAL_FLIP = 4, VERTICAL_FLIP = 5 };

static double filtered(int filter, double x)
{
    const double a = fabs(x);
    switch (filter) {
    case FF_BOX:
        return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
    case FF_BILINEAR:
        return a < 1.0 ? 1.0 - a : 0.0;
    case FF_BICUBIC:
        return a < 1.0 ? (1.5 * a - 2.5) * a * a + 1.0 : a < 2.0 ? ((-0.5 * a + 2.5) * a - 4.0) * a + 2.0 : 0.0;
    default:
        return a >= 3.0 ? 0.0 : a < 1e-9 ? 1.0 : 3.0 * sin(PI * a) * sin(PI * a / 3.0) / (PI * PI * a * a);
    }
}

/* Weights of one output pixel: of n, from length.  0: a pixel lies on the border of two boxes, and either may have it. */
static int weigh(int filter, int at, int n, int length, double weights[SIDE])
{
    const double scale = (double)length / n, wide = scale > 1.0 ? scale : 1.0, centre = (at + 0.5) * scale;
    double sum = 0.0;
    int clear = 1;
    for (int k = 0; k < length; k++) {
        const double distance = (k + 0.5 - centre) / wide;
        clear &= filter != FF_BOX || fabs(fabs(distance) - 0.5) > 1e-9;
        sum += weights[k] = filtered(filter, distance);
    }
    for (int k = 0; k < length; k++)
        weights[k] /= sum;
    return clear;
}

static void set(ff_op *op, int kind, int size, const void *parameters)
{
    *op = (ff_op){.kind = kind, .size = size};
    memcpy(op->parameters, parameters, (size_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ff_image *image;
    if (image == NULL)
        image = ff_image_new();
    input in = {data, size};
    const int width = 1 + below(&in, SIDE), height = 1 + below(&in, SIDE);
    const int n_w = 1 + below(&in, SIDE), n_h = 1 + below(&in, SIDE);
    const int out_w = 1 + below(&in, n_w), out_h = 1 + below(&in, n_h);
    const int filter = FF_BOX + below(&in, 4), flips = below(&in, 4);

    ff_plan plan = {.out_h = out_h, .out_w = out_w, .dtype = FF_F32, .max_pixels = 1 << 20, .max_scans = 100};
    for (int k = 0; k < 3; k++)
        plan.scale[k] = 1.0f;
    const struct {
        int32_t height, width, fit, filter;
        float fill[3];
    } resize = {n_h, n_w, FF_STRETCH, filter, {0}};
    const int32_t crop[2] = {out_h, out_w};
    const float always = 1.0f;
    set(&plan.ops[plan.n_ops++], RESIZE, sizeof resize, &resize);
    if (flips & 1)
        set(&plan.ops[plan.n_ops++], HORIZONTAL_FLIP, sizeof always, &always);
    set(&plan.ops[plan.n_ops++], CENTER_CROP, sizeof crop, crop);
    if (flips & 2)
        set(&plan.ops[plan.n_ops++], VERTICAL_FLIP, sizeof always, &always);

    const size_t pixels = (size_t)width * (size_t)height * 3;
    uint8_t *rgb = room(pixels);
    for (size_t k = 0; k < pixels; k++)
        rgb[k] = in.size > 0 ? (uint8_t)take(&in) : (uint8_t)(k * 37);

    static const ff_key key = {1, 2, 3};
    char text[FF_ERR_LEN];
    const size_t values = (size_t)out_h * (size_t)out_w * 3;
    float *row = room(values * sizeof *row), *first = room(values * sizeof *row);
    for (int k = 0; ff_simd_variant(k) != NULL; k++) {
        ff_simd_select(ff_simd_variant(k));
        const int code = ff_image_pixels(image, &plan, rgb, width, height, 3 * width, &key, row, text);
        HOLDS(code == FF_OK, "%d %s", code, text);
        HOLDS(k == 0 || memcmp(row, first, values * sizeof *row) == 0, "%s: another row", ff_simd_variant(k));
        memcpy(first, row, values * sizeof *row);
    }

    for (int y = 0; y < out_h; y++)
        for (int x = 0; x < out_w; x++) {
            double down[SIDE], across[SIDE], sum[3] = {0.0};
            const int line = flips & 2 ? out_h - 1 - y : y;
            int at_x = x + (int)rint((n_w - out_w) * 0.5), at_y = line + (int)rint((n_h - out_h) * 0.5);
            if (flips & 1)
                at_x = n_w - 1 - at_x;
            if (!weigh(filter, at_x, n_w, width, across) || !weigh(filter, at_y, n_h, height, down))
                continue;
            for (int v = 0; v < height; v++)
                for (int u = 0; down[v] != 0.0 && u < width; u++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += down[v] * across[u] * rgb[(v * width + u) * 3 + c];
            for (int c = 0; c < 3; c++) {
                const double have = row[(y * out_w + x) * 3 + c];
                const double expected = sum[c] < 0.0 ? 0.0 : sum[c] > 255.0 ? 255.0 : sum[c];
                HOLDS(fabs(have - expected) <= 0.6, "(%d, %d) %d: %g, expected %g", y, x, c, have, expected);
            }
        }
    free(first);
    free(row);
    free(rgb);
    return 0;
}
