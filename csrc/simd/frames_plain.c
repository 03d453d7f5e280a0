/* frames_plain: the loops of a JPEG decoder in plain C, the reference for every variant. */
#include "simd/frames.h"

#include <stdlib.h>
#include <string.h>

/* The transform is that of Loeffler, Ligtenberg and Moschytz ("Practical fast 1-D DCT algorithms with 11 multiplications",
 * 1989), multiplied out: with the same constants of 13 fraction bits, and no rounding in between, any order of the sums
 * gives the same integers. */
enum { FRACTION = 13, KEEP = 2 }; /* fraction bits of the constants, and of what the first pass gives */

static void eight(const int32_t in[8], int32_t out[8], int shift)
{
    const int32_t half = 1 << (shift - 1);
    const int32_t sum = (in[0] + in[4]) * 8192 + half, difference = (in[0] - in[4]) * 8192 + half;
    const int32_t turned = in[2] * 4433 - in[6] * 10704, other = in[2] * 10703 + in[6] * 4433;
    const int32_t even[4] = {sum + other, difference + turned, difference - turned, sum - other};
    const int32_t odd[4] = {
        in[1] * 11363 + in[3] * 9633 + in[5] * 6437 + in[7] * 2260,
        in[1] * 9633 - in[3] * 2259 - in[5] * 11362 - in[7] * 6436,
        in[1] * 6437 - in[3] * 11362 + in[5] * 2261 + in[7] * 9633,
        in[1] * 2260 - in[3] * 6436 + in[5] * 9633 - in[7] * 11363,
    };
    for (int k = 0; k < 4; k++) {
        out[k] = (even[k] + odd[k]) >> shift;
        out[7 - k] = (even[k] - odd[k]) >> shift;
    }
}

static int one_block(int16_t *coef, const int16_t *quantiser, uint8_t *to, int64_t stride)
{
    int32_t half[64];
    for (int x = 0; x < 8; x++) {
        int32_t in[8], out[8], size = 0;
        for (int y = 0; y < 8; y++) {
            in[y] = coef[8 * y + x] * quantiser[8 * y + x];
            size += abs(in[y]) <= FF_COLUMN_MOST ? abs(in[y]) : FF_COLUMN_MOST + 1;
        }
        if (size > FF_COLUMN_MOST)
            return 0;
        eight(in, out, FRACTION - KEEP);
        for (int y = 0; y < 8; y++)
            half[8 * y + x] = out[y];
    }
    for (int y = 0; y < 8; y++) {
        int32_t out[8];
        eight(half + 8 * y, out, FRACTION + KEEP + 3);
        for (int x = 0; x < 8; x++) {
            const int32_t level = out[x] + 128;
            to[y * stride + x] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
        }
    }
    memset(coef, 0, 64 * sizeof *coef);
    return 1;
}

static int transform(int16_t *const blocks[4], const int16_t *quantiser, uint8_t *to, int64_t stride)
{
    for (int k = 0; k < 4; k++)
        if (!one_block(blocks[k], quantiser, to + 8 * k, stride))
            return 0;
    return 1;
}

static void halve(const uint8_t *pixels, uint8_t *to, int64_t stride)
{
    for (int y = 0; y < 4; y++, pixels += 64)
        for (int x = 0; x < 16; x++)
            to[y * stride + x] =
                (uint8_t)((pixels[2 * x] + pixels[2 * x + 1] + pixels[2 * x + 32] + pixels[2 * x + 33] + 2) >> 2);
}

static void widen(uint8_t *to, const uint8_t *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        to[2 * i] = (uint8_t)((3 * from[i] + from[i - 1] + 1) >> 2);
        to[2 * i + 1] = (uint8_t)((3 * from[i] + from[i + 1] + 2) >> 2);
    }
}

static void widen_between(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n)
{
    int before = 3 * near[-1] + far[-1], here = 3 * near[0] + far[0];
    for (int64_t i = 0; i < n; i++) {
        const int next = 3 * near[i + 1] + far[i + 1];
        to[2 * i] = (uint8_t)((3 * here + before + 8) >> 4);
        to[2 * i + 1] = (uint8_t)((3 * here + next + 7) >> 4);
        before = here;
        here = next;
    }
}

static void between(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n, int bias)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (uint8_t)((3 * near[i] + far[i] + bias) >> 2);
}

static inline uint8_t clipped(int32_t v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void rgb(uint8_t *to, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int64_t n)
{
    enum { HALF = 1 << 15 };
    for (int64_t i = 0; i < n; i++, to += 3) {
        const int32_t b = cb[i] - 128, r = cr[i] - 128;
        to[0] = clipped(y[i] + ((91881 * r + HALF) >> 16));
        to[1] = clipped(y[i] + ((-22554 * b - 46802 * r + HALF) >> 16));
        to[2] = clipped(y[i] + ((116130 * b + HALF) >> 16));
    }
}

const ff_frame_loops ff_frames_plain = {
    .transform = transform,
    .halve = halve,
    .widen = widen,
    .widen_between = widen_between,
    .between = between,
    .rgb = rgb,
};
