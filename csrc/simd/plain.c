/* plain: the inner loops in plain C: what every SIMD variant is tested against, and what runs where there is none. */
#include "simd/loops.h"

#include <math.h>
#include <string.h>

static void vertical(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t n, int32_t shift)
{
    const int32_t half = (int32_t)1 << (shift - 1);
    for (int64_t i = 0; i < n; i++) {
        int32_t sum = half;
        for (int32_t t = 0; t < taps; t++)
            sum += rows[t][i] * coef[t];
        sum >>= shift;
        dst[i] = (int16_t)(sum < INT16_MIN ? INT16_MIN : sum > INT16_MAX ? INT16_MAX : sum);
    }
}

static void triple(int16_t *dst, const int16_t *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[3 * i] = dst[3 * i + 1] = dst[3 * i + 2] = src[i];
}

static void sums(int32_t rgb[3], const int16_t *src, const ff_taps *taps, int32_t pixel)
{
    const int16_t *p = src + 3 * (int64_t)taps->start[pixel];
    const int16_t *coef = taps->coef + (int64_t)pixel * taps->width;
    rgb[0] = rgb[1] = rgb[2] = 0;
    for (int32_t t = 0; t < taps->length[pixel]; t++, p += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] += p[c] * coef[t];
}

static void across_f32(float *dst, const int16_t *src, const ff_taps *taps, const float scale[3], const float bias[3])
{
    const int32_t bits = FF_COEF_BITS + taps->mid_bits;
    const float one = 1.0f / (float)((int32_t)1 << bits);
    const float by[3] = {scale[0] * one, scale[1] * one, scale[2] * one};
    const int32_t top = (int32_t)255 << bits;
    const int clip = taps->mid_bits != FF_MID_BITS;
    for (int32_t i = 0; i < taps->count; i++) {
        int32_t rgb[3];
        sums(rgb, src, taps, i);
        for (int c = 0; c < 3; c++) {
            int32_t v = rgb[c];
            if (clip)
                v = v < 0 ? 0 : v > top ? top : v;
            /* Two roundings, in two statements: no variant may fuse them, so that all give the same bits. */
            const float scaled = (float)v * by[c];
            dst[3 * i + c] = scaled + bias[c];
        }
    }
}

static void across_u8(uint8_t *dst, const int16_t *src, const ff_taps *taps)
{
    const int32_t bits = FF_COEF_BITS + taps->mid_bits;
    const int32_t half = (int32_t)1 << (bits - 1);
    for (int32_t i = 0; i < taps->count; i++) {
        int32_t rgb[3];
        sums(rgb, src, taps, i);
        for (int c = 0; c < 3; c++) {
            const int32_t v = (rgb[c] + half) >> bits;
            dst[3 * i + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
}

static void matrix(float *rgb, int64_t n, const float m[12], const float low[3], const float high[3])
{
    for (int64_t i = 0; i < n; i++, rgb += 3) {
        const float r = rgb[0], g = rgb[1], b = rgb[2];
        for (int c = 0; c < 3; c++) {
            const float *k = m + 4 * c;
            const float kr = k[0] * r, kg = k[1] * g, kb = k[2] * b;
            float v = kr + kg;
            v = v + kb;
            v = v + k[3];
            v = v > low[c] ? v : low[c];
            rgb[c] = v < high[c] ? v : high[c];
        }
    }
}

/* Round to nearest even, overflow to infinity, as the hardware does; NaN stays NaN. */
static uint16_t half_of(float value)
{
    uint32_t x;
    memcpy(&x, &value, sizeof x);
    const uint32_t sign = x >> 16 & 0x8000u;
    x &= 0x7fffffffu;
    uint32_t h;
    if (x >= 0x47800000u) { /* 65536 and above, infinity, NaN */
        h = x > 0x7f800000u ? 0x7e00u | (x >> 13 & 0x3ffu) : 0x7c00u;
    } else if (x < 0x38800000u) { /* below the smallest normal half: let the float adder round at 2^-24 */
        float f;
        memcpy(&f, &x, sizeof f);
        f += 0.5f;
        memcpy(&h, &f, sizeof h);
        h -= 0x3f000000u;
    } else {
        h = x + 0xfffu + (x >> 13 & 1u);
        h = (h - 0x38000000u) >> 13;
    }
    return (uint16_t)(sign | h);
}

static void to_f16(uint16_t *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = half_of(src[i]);
}

static void to_u8(uint8_t *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float v = src[i] > 0.0f ? src[i] : 0.0f;
        dst[i] = v < 255.0f ? (uint8_t)lrintf(v) : 255;
    }
}

static void out(void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
}

static void settle(void)
{
}

static void planes(void *const dst[3], const void *src, int64_t n, int size)
{
    if (size == 1) {
        const uint8_t *s = src;
        uint8_t *r = dst[0], *g = dst[1], *b = dst[2];
        for (int64_t i = 0; i < n; i++, s += 3)
            r[i] = s[0], g[i] = s[1], b[i] = s[2];
    } else if (size == 2) {
        const uint16_t *s = src;
        uint16_t *r = dst[0], *g = dst[1], *b = dst[2];
        for (int64_t i = 0; i < n; i++, s += 3)
            r[i] = s[0], g[i] = s[1], b[i] = s[2];
    } else {
        const uint32_t *s = src;
        uint32_t *r = dst[0], *g = dst[1], *b = dst[2];
        for (int64_t i = 0; i < n; i++, s += 3)
            r[i] = s[0], g[i] = s[1], b[i] = s[2];
    }
}

const ff_rows ff_rows_plain = {
    .name = "baseline",
    .vertical = vertical,
    .triple = triple,
    .across_f32 = across_f32,
    .across_u8 = across_u8,
    .matrix = matrix,
    .to_f16 = to_f16,
    .to_u8 = to_u8,
    .out = out,
    .settle = settle,
    .planes = planes,
};
