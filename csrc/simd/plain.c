/* plain: the inner loops in plain C: what every SIMD variant is tested against, and what runs where there is none. */
#include "simd/shared.h"

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

void ff_plain_matrix(float *rgb, int64_t n, const float m[12], const float low[3], const float high[3])
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

void ff_plain_stream(void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
}

void ff_plain_settle(void)
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

int64_t ff_plain_blend(const ff_blend_source *s, uint8_t *to, int64_t n, int64_t x, int64_t y, int64_t dx, int64_t dy)
{
    for (int64_t i = 0; i < n; i++, to += 3, x += dx, y += dy) {
        const uint8_t *p = s->pixels + (y >> FF_BLEND_FRACTION) * s->stride + (x >> FF_BLEND_FRACTION) * 3;
        const uint8_t *q = p + s->stride;
        for (int c = 0; c < 3; c++)
            to[c] = ff_blend(p[c], p[c + 3], q[c], q[c + 3], ff_blend_weight(x), ff_blend_weight(y));
    }
    return n;
}

/* ---- colour ---- */

static float lesser(float a, float b)
{
    return a < b ? a : b;
}

static float greater(float a, float b)
{
    return a > b ? a : b;
}

static uint8_t pixel(float value)
{
    return (uint8_t)(lesser(greater(value, 0.0f), 255.0f) + 0.5f);
}

/* k mod 6, for k < 12; below 0 it stays. */
static float below_six(float k)
{
    return k >= 6.0f ? k - 6.0f : k;
}

/* One channel of HSV turned back into RGB: V - delta * max(0, min(k, 4 - k, 1)), k = (n + hue) mod 6, n = 5, 3, 1 for
 * red, green, blue; hue in sixths of a turn.  This is the usual sextant table without its branches. */
static float channel(float n, float hue, float value, float delta)
{
    const float k = below_six(n + hue);
    return value - delta * greater(lesser(lesser(k, 4.0f - k), 1.0f), 0.0f);
}

void ff_plain_sums(const uint8_t *rgb, int64_t width, uint64_t sum[3])
{
    for (; width > 0; width--, rgb += 3)
        for (int c = 0; c < 3; c++)
            sum[c] += rgb[c];
}

void ff_plain_matrix8(uint8_t *rgb, int64_t width, const float m[12])
{
    for (; width > 0; width--, rgb += 3) {
        const float r = rgb[0], g = rgb[1], b = rgb[2];
        for (int c = 0; c < 3; c++, m += 4)
            rgb[c] = pixel(m[0] * r + m[1] * g + m[2] * b + m[3]);
        m -= 12;
    }
}

void ff_plain_hue(uint8_t *rgb, int64_t width, float sixths)
{
    for (; width > 0; width--, rgb += 3) {
        const float r = rgb[0], g = rgb[1], b = rgb[2];
        const float value = greater(r, greater(g, b)), delta = value - lesser(r, lesser(g, b));
        const float scale = 1.0f / greater(delta, 1.0f); /* grey has no hue; otherwise whole numbers differ by 1 */
        const float red = (g - b) * scale, green = (b - r) * scale + 2.0f, blue = (r - g) * scale + 4.0f;
        const float hue = below_six((r >= value ? red : g >= value ? green : blue) + sixths); /* -1..6 */
        rgb[0] = pixel(channel(5.0f, hue, value, delta));
        rgb[1] = pixel(channel(3.0f, hue, value, delta));
        rgb[2] = pixel(channel(1.0f, hue, value, delta));
    }
}

const ff_loops ff_loops_plain = {
    .name = "baseline",
    .vertical = vertical,
    .triple = triple,
    .across_f32 = across_f32,
    .across_u8 = across_u8,
    .matrix = ff_plain_matrix,
    .stream = ff_plain_stream,
    .settle = ff_plain_settle,
    .planes = planes,
    .blend = ff_plain_blend,
    .sums = ff_plain_sums,
    .matrix8 = ff_plain_matrix8,
    .hue = ff_plain_hue,
    .frames = &ff_frames_plain,
};
