/* avx512: the inner loops for AVX-512 with VNNI; the same bits as plain.c.
 *
 * This variant stays with 256-bit registers: it wants VNNI, masks and permutations, not width.  With 512 bits the
 * core runs slower for a while afterwards, and the decoder, which is most of the work, loses more than is won here
 * (measured on Sapphire Rapids: 5% of the whole).
 */
#if defined(__x86_64__)

#include "simd/shared.h"

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define INLINE static inline __attribute__((always_inline))

AVX512 INLINE void vertical_vnni_32(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t i,
                                    __m256i half, __m128i shift, __mmask32 mask)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i s0 = half, s1 = half, s2 = half, s3 = half;
    for (int32_t t = 0; t < taps; t += 2) {
        const __m256i a = _mm256_maskz_loadu_epi8(mask, rows[t] + i), b = _mm256_maskz_loadu_epi8(mask, rows[t + 1] + i);
        const __m256i by = _mm256_set1_epi32(ff_pair_of(coef + t));
        const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
        s0 = _mm256_dpwssd_epi32(s0, _mm256_unpacklo_epi8(low, zero), by);
        s1 = _mm256_dpwssd_epi32(s1, _mm256_unpackhi_epi8(low, zero), by);
        s2 = _mm256_dpwssd_epi32(s2, _mm256_unpacklo_epi8(high, zero), by);
        s3 = _mm256_dpwssd_epi32(s3, _mm256_unpackhi_epi8(high, zero), by);
    }
    const __m256i p = _mm256_packs_epi32(_mm256_sra_epi32(s0, shift), _mm256_sra_epi32(s1, shift));
    const __m256i q = _mm256_packs_epi32(_mm256_sra_epi32(s2, shift), _mm256_sra_epi32(s3, shift));
    _mm256_mask_storeu_epi16(dst + i, (__mmask16)mask, _mm256_permute2x128_si256(p, q, 0x20));
    _mm256_mask_storeu_epi16(dst + i + 16, (__mmask16)(mask >> 16), _mm256_permute2x128_si256(p, q, 0x31));
}

AVX512 INLINE void vertical_vnni(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t n,
                                 int32_t shift)
{
    const __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        vertical_vnni_32(dst, rows, coef, taps, i, half, count, ~0u);
    if (i < n)
        vertical_vnni_32(dst, rows, coef, taps, i, half, count, ~0u >> (32 - (n - i)));
}

AVX512 static void vertical_avx512(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t n,
                                   int32_t shift)
{
    switch (taps) { /* the usual ones: pointers and coefficients stay in registers */
    case 2:
        vertical_vnni(dst, rows, coef, 2, n, shift);
        break;
    case 4:
        vertical_vnni(dst, rows, coef, 4, n, shift);
        break;
    case 6:
        vertical_vnni(dst, rows, coef, 6, n, shift);
        break;
    default:
        vertical_vnni(dst, rows, coef, taps, n, shift);
    }
}

/* Sums of pixels i and i + 1 of the result, as in avx2.c; wide is theirs. */
AVX512 INLINE __m256i two_sums_vnni(const int16_t *src, const int32_t *start, const int32_t *wide, int32_t pairs)
{
    const __m256i order = _mm256_broadcast_i32x4(_mm_setr_epi8(FF_TWO_PIXELS));
    const int16_t *a = src + 3 * (int64_t)start[0], *b = src + 3 * (int64_t)start[1];
    __m256i sum = _mm256_setzero_si256();
    for (int32_t p = 0; p < pairs; p++, a += 6, b += 6, wide += 16) {
        const __m256i first = _mm256_castsi128_si256(_mm_loadu_si128((const void *)a));
        const __m256i both = _mm256_inserti128_si256(first, _mm_loadu_si128((const void *)b), 1);
        sum = _mm256_dpwssd_epi32(sum, _mm256_shuffle_epi8(both, order), _mm256_loadu_si256((const void *)wide));
    }
    return sum;
}

AVX512 INLINE __m256 per_channel_vnni(const float v[3], float by)
{
    return _mm256_broadcast_f32x4(_mm_setr_ps(v[0] * by, v[1] * by, v[2] * by, 0.0f));
}

AVX512 INLINE void across_f32_vnni(float *dst, const int16_t *src, const ff_taps *taps, const float scale[3],
                                   const float bias[3], int32_t pairs)
{
    const int32_t bits = FF_COEF_BITS + taps->mid_bits;
    const __m256 by = per_channel_vnni(scale, 1.0f / (float)((int32_t)1 << bits)), add = per_channel_vnni(bias, 1.0f);
    const __m256i zero = _mm256_setzero_si256(), top = _mm256_set1_epi32((int32_t)255 << bits);
    const int clip = taps->mid_bits != FF_MID_BITS;
    const int32_t *start = taps->start, *wide = taps->wide;
    for (int32_t i = 0; i < taps->count; i += 4, dst += 12, start += 4, wide += 16 * pairs)
        for (int k = 0; k < 2; k++) {
            __m256i sum = two_sums_vnni(src, start + 2 * k, wide + 8 * k, pairs);
            if (clip)
                sum = _mm256_min_epi32(_mm256_max_epi32(sum, zero), top);
            __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), by);
            __asm__("" : "+v"(v)); /* this target has a fused multiply-add: the compiler must not think of it */
            v = _mm256_add_ps(v, add);
            _mm_storeu_ps(dst + 6 * k, _mm256_castps256_ps128(v));
            _mm_storeu_ps(dst + 6 * k + 3, _mm256_extractf128_ps(v, 1));
        }
}

AVX512 static void across_f32_avx512(float *dst, const int16_t *src, const ff_taps *taps, const float scale[3],
                                     const float bias[3])
{
    switch (taps->width) {
    case 2:
        across_f32_vnni(dst, src, taps, scale, bias, 1);
        break;
    case 4:
        across_f32_vnni(dst, src, taps, scale, bias, 2);
        break;
    case 6:
        across_f32_vnni(dst, src, taps, scale, bias, 3);
        break;
    case 8:
        across_f32_vnni(dst, src, taps, scale, bias, 4);
        break;
    default:
        across_f32_vnni(dst, src, taps, scale, bias, taps->width / 2);
    }
}

AVX512 static void across_u8_avx512(uint8_t *dst, const int16_t *src, const ff_taps *taps)
{
    const int32_t bits = FF_COEF_BITS + taps->mid_bits, pairs = taps->width / 2;
    const __m256i half = _mm256_set1_epi32((int32_t)1 << (bits - 1)), zero = _mm256_setzero_si256();
    const __m128i shift = _mm_cvtsi32_si128(bits);
    const __m128i close = _mm_setr_epi8(0, 1, 2, 4, 5, 6, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const int32_t *start = taps->start, *wide = taps->wide;
    for (int32_t i = 0; i < taps->count; i += 4, dst += 12, start += 4, wide += 16 * pairs)
        for (int k = 0; k < 2; k++) {
            const __m256i sum = _mm256_add_epi32(two_sums_vnni(src, start + 2 * k, wide + 8 * k, pairs), half);
            const __m128i bytes = _mm256_cvtusepi32_epi8(_mm256_max_epi32(_mm256_sra_epi32(sum, shift), zero));
            _mm_storel_epi64((void *)(dst + 6 * k), _mm_shuffle_epi8(bytes, close));
        }
}

const ff_loops ff_loops_avx512 = {
    .name = "avx512",
    .vertical = vertical_avx512,
    .triple = ff_avx2_triple,
    .across_f32 = across_f32_avx512,
    .across_u8 = across_u8_avx512,
    .matrix = ff_avx2_matrix,
    .convert = {[FF_U8] = ff_avx2_to_u8, [FF_F16] = ff_avx2_to_f16},
    .stream = ff_avx2_stream,
    .settle = ff_avx2_settle,
    .planes = ff_avx2_planes,
    .blend = ff_avx2_blend,
    .sums = ff_avx2_sums,
    .matrix8 = ff_avx2_matrix8,
    .hue = ff_avx2_hue,
    .frames = &ff_frames_avx512,
};

#else
typedef int ff_avx512_is_empty; /* ISO C wants a declaration in every file */
#endif
