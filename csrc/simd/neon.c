/* neon: the inner loops for 64-bit Arm; the same bits as plain.c. */
#if defined(__aarch64__)

#include "simd/shared.h"

#include <arm_neon.h>

static void vertical_16(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t i,
                        int32x4_t half, int32x4_t shift)
{
    int32x4_t s0 = half, s1 = half, s2 = half, s3 = half;
    for (int32_t t = 0; t < taps; t++) {
        const uint8x16_t bytes = vld1q_u8(rows[t] + i);
        const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
        const int16x8_t high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)));
        s0 = vmlal_n_s16(s0, vget_low_s16(low), coef[t]);
        s1 = vmlal_n_s16(s1, vget_high_s16(low), coef[t]);
        s2 = vmlal_n_s16(s2, vget_low_s16(high), coef[t]);
        s3 = vmlal_n_s16(s3, vget_high_s16(high), coef[t]);
    }
    vst1q_s16(dst + i, vcombine_s16(vqmovn_s32(vshlq_s32(s0, shift)), vqmovn_s32(vshlq_s32(s1, shift))));
    vst1q_s16(dst + i + 8, vcombine_s16(vqmovn_s32(vshlq_s32(s2, shift)), vqmovn_s32(vshlq_s32(s3, shift))));
}

static void vertical(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t n, int32_t shift)
{
    if (n < 16) {
        ff_loops_plain.vertical(dst, rows, coef, taps, n, shift);
        return;
    }
    const int32x4_t half = vdupq_n_s32(1 << (shift - 1)), right = vdupq_n_s32(-shift);
    for (int64_t i = 0; i + 16 <= n; i += 16)
        vertical_16(dst, rows, coef, taps, i, half, right);
    if (n % 16 != 0) /* the last 16 again: nothing behind the rows may be read */
        vertical_16(dst, rows, coef, taps, n - 16, half, right);
}

static void triple(int16_t *dst, const int16_t *src, int64_t n)
{
    for (int64_t i = 0; i < n; i += 8) {
        const int16x8_t v = vld1q_s16(src + i);
        const int16x8x3_t rgb = {{v, v, v}};
        vst3q_s16(dst + 3 * i, rgb);
    }
}

/* Sums of one pixel of the result; the fourth lane is the next pixel's red and means nothing. */
static inline int32x4_t sums(const int16_t *src, const ff_taps *taps, int32_t pixel)
{
    const int16_t *p = src + 3 * (int64_t)taps->start[pixel];
    const int16_t *coef = taps->coef + (int64_t)pixel * taps->width;
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t t = 0; t < taps->length[pixel]; t++, p += 3)
        sum = vmlal_n_s16(sum, vld1_s16(p), coef[t]);
    return sum;
}

static void across_f32(float *dst, const int16_t *src, const ff_taps *taps, const float scale[3], const float bias[3])
{
    const int32_t bits = FF_COEF_BITS + taps->mid_bits;
    const float one = 1.0f / (float)((int32_t)1 << bits);
    const float by_values[4] = {scale[0] * one, scale[1] * one, scale[2] * one, 0.0f};
    const float add_values[4] = {bias[0], bias[1], bias[2], 0.0f};
    const float32x4_t by = vld1q_f32(by_values), add = vld1q_f32(add_values);
    const int32x4_t zero = vdupq_n_s32(0), top = vdupq_n_s32((int32_t)255 << bits);
    const int clip = taps->mid_bits != FF_MID_BITS;
    for (int32_t i = 0; i < taps->count; i++, dst += 3) {
        int32x4_t sum = sums(src, taps, i);
        if (clip)
            sum = vminq_s32(vmaxq_s32(sum, zero), top);
        float32x4_t v = vmulq_f32(vcvtq_f32_s32(sum), by);
        __asm__("" : "+w"(v)); /* two roundings, as everywhere: the compiler must not fuse them */
        vst1q_f32(dst, vaddq_f32(v, add));
    }
}

static void across_u8(uint8_t *dst, const int16_t *src, const ff_taps *taps)
{
    const int32x4_t right = vdupq_n_s32(-(FF_COEF_BITS + taps->mid_bits));
    for (int32_t i = 0; i < taps->count; i++, dst += 3) {
        const int16x4_t words = vqmovn_s32(vrshlq_s32(sums(src, taps, i), right));
        const uint8x8_t bytes = vqmovun_s16(vcombine_s16(words, words));
        vst1_u8(dst, bytes);
    }
}

static void planes(void *const dst[3], const void *src, int64_t n, int size)
{
    int64_t i = 0;
    if (size == 4) {
        for (; i + 4 <= n; i += 4) {
            const uint32x4x3_t v = vld3q_u32((const uint32_t *)src + 3 * i);
            for (int c = 0; c < 3; c++)
                vst1q_u32((uint32_t *)dst[c] + i, v.val[c]);
        }
    } else if (size == 2) {
        for (; i + 8 <= n; i += 8) {
            const uint16x8x3_t v = vld3q_u16((const uint16_t *)src + 3 * i);
            for (int c = 0; c < 3; c++)
                vst1q_u16((uint16_t *)dst[c] + i, v.val[c]);
        }
    } else {
        for (; i + 16 <= n; i += 16) {
            const uint8x16x3_t v = vld3q_u8((const uint8_t *)src + 3 * i);
            for (int c = 0; c < 3; c++)
                vst1q_u8((uint8_t *)dst[c] + i, v.val[c]);
        }
    }
    void *const rest[3] = {(uint8_t *)dst[0] + i * size, (uint8_t *)dst[1] + i * size, (uint8_t *)dst[2] + i * size};
    ff_loops_plain.planes(rest, (const uint8_t *)src + 3 * i * size, n - i, size);
}

static void to_f16(void *dst, const float *src, int64_t n)
{
    uint16_t *to = dst;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(to + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(src + i))));
    ff_plain_to_f16(to + i, src + i, n - i);
}

const ff_loops ff_loops_neon = {
    .name = "neon",
    .vertical = vertical,
    .triple = triple,
    .across_f32 = across_f32,
    .across_u8 = across_u8,
    .matrix = ff_plain_matrix,
    .convert = {[FF_F16] = to_f16},
    .stream = ff_plain_stream,
    .settle = ff_plain_settle,
    .planes = planes,
    .blend = ff_plain_blend,
    .sums = ff_plain_sums,
    .matrix8 = ff_plain_matrix8,
    .hue = ff_plain_hue,
    .frames = &ff_frames_neon,
};

#else
typedef int ff_neon_is_empty; /* ISO C wants a declaration in every file */
#endif
