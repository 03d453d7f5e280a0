/* avx2: the inner loops for AVX2, and for AVX-512 with VNNI; the same bits as plain.c. */
#if defined(__x86_64__)

#include "simd/loops.h"

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,f16c")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define INLINE static inline __attribute__((always_inline))

INLINE int32_t pair_of(const int16_t *coef)
{
    int32_t pair;
    memcpy(&pair, coef, sizeof pair);
    return pair;
}

/* ---- vertical ----
 * Bytes of two rows interleaved and widened are pairs a, b of words; a multiply-add with a coefficient pair takes two
 * taps at once.  Unpacking works within 128-bit lanes; packing undoes its order, a permutation puts the lanes right. */

AVX2 INLINE void vertical_32(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t i,
                             __m256i half, __m128i shift)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i s0 = half, s1 = half, s2 = half, s3 = half;
    for (int32_t t = 0; t < taps; t += 2) {
        const __m256i a = _mm256_loadu_si256((const void *)(rows[t] + i));
        const __m256i b = _mm256_loadu_si256((const void *)(rows[t + 1] + i));
        const __m256i by = _mm256_set1_epi32(pair_of(coef + t));
        const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
        s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), by));
        s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), by));
        s2 = _mm256_add_epi32(s2, _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), by));
        s3 = _mm256_add_epi32(s3, _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), by));
    }
    const __m256i p = _mm256_packs_epi32(_mm256_sra_epi32(s0, shift), _mm256_sra_epi32(s1, shift));
    const __m256i q = _mm256_packs_epi32(_mm256_sra_epi32(s2, shift), _mm256_sra_epi32(s3, shift));
    _mm256_storeu_si256((void *)(dst + i), _mm256_permute2x128_si256(p, q, 0x20));
    _mm256_storeu_si256((void *)(dst + i + 16), _mm256_permute2x128_si256(p, q, 0x31));
}

AVX2 static void vertical_avx2(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t n,
                               int32_t shift)
{
    if (n < 32) {
        ff_rows_plain.vertical(dst, rows, coef, taps, n, shift);
        return;
    }
    const __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    for (int64_t i = 0; i + 32 <= n; i += 32)
        vertical_32(dst, rows, coef, taps, i, half, count);
    if (n % 32 != 0) /* the last 32 again: nothing behind the rows may be read */
        vertical_32(dst, rows, coef, taps, n - 32, half, count);
}

/* The AVX-512 variant stays with 256-bit registers: it wants VNNI, masks and permutations, not width.  With 512 bits the
 * core runs slower for a while afterwards, and the decoder, which is most of the work, loses more than is won here
 * (measured on Sapphire Rapids: 5% of the whole). */

AVX512 INLINE void vertical_vnni_32(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t i,
                                    __m256i half, __m128i shift, __mmask32 mask)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i s0 = half, s1 = half, s2 = half, s3 = half;
    for (int32_t t = 0; t < taps; t += 2) {
        const __m256i a = _mm256_maskz_loadu_epi8(mask, rows[t] + i), b = _mm256_maskz_loadu_epi8(mask, rows[t + 1] + i);
        const __m256i by = _mm256_set1_epi32(pair_of(coef + t));
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

AVX2 static void triple_avx2(int16_t *dst, const int16_t *src, int64_t n)
{
    const __m128i a = _mm_setr_epi8(0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5);
    const __m128i b = _mm_setr_epi8(4, 5, 6, 7, 6, 7, 6, 7, 8, 9, 8, 9, 8, 9, 10, 11);
    const __m128i c = _mm_setr_epi8(10, 11, 10, 11, 12, 13, 12, 13, 12, 13, 14, 15, 14, 15, 14, 15);
    for (int64_t i = 0; i < n; i += 8, dst += 24) {
        const __m128i v = _mm_loadu_si128((const void *)(src + i));
        _mm_storeu_si128((void *)dst, _mm_shuffle_epi8(v, a));
        _mm_storeu_si128((void *)(dst + 8), _mm_shuffle_epi8(v, b));
        _mm_storeu_si128((void *)(dst + 16), _mm_shuffle_epi8(v, c));
    }
}

/* ---- across ----
 * 16 bytes hold two RGB pixels of words; shuffled to r0 r1 g0 g1 b0 b1 0 0 they meet a coefficient pair repeated four
 * times.  A lane is a pixel of the result, so nothing crosses lanes until the store. */

#define TWO_PIXELS 0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1

AVX2 INLINE __m256i two_starts(const int16_t *src, const int32_t *start)
{
    const __m128i a = _mm_loadu_si128((const void *)(src + 3 * (int64_t)start[0]));
    const __m128i b = _mm_loadu_si128((const void *)(src + 3 * (int64_t)start[1]));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

/* Sums of pixels i..i+3 of the result: two in each register. */
AVX2 INLINE void four_sums_avx2(__m256i sum[2], const int16_t *src, const ff_taps *taps, int32_t i)
{
    const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(TWO_PIXELS));
    const int32_t pairs = taps->width / 2;
    const int32_t *wide = taps->wide + (int64_t)i * taps->width * 2;
    __m256i a = _mm256_setzero_si256(), b = a;
    for (int32_t p = 0; p < pairs; p++, src += 6, wide += 16) {
        const __m256i u = _mm256_shuffle_epi8(two_starts(src, taps->start + i), order);
        const __m256i v = _mm256_shuffle_epi8(two_starts(src, taps->start + i + 2), order);
        a = _mm256_add_epi32(a, _mm256_madd_epi16(u, _mm256_loadu_si256((const void *)wide)));
        b = _mm256_add_epi32(b, _mm256_madd_epi16(v, _mm256_loadu_si256((const void *)(wide + 8))));
    }
    sum[0] = a;
    sum[1] = b;
}

AVX2 INLINE __m256 per_channel_avx2(const float v[3], float by)
{
    const __m128 lane = _mm_setr_ps(v[0] * by, v[1] * by, v[2] * by, 0.0f);
    return _mm256_insertf128_ps(_mm256_castps128_ps256(lane), lane, 1);
}

AVX2 static void across_f32_avx2(float *dst, const int16_t *src, const ff_taps *taps, const float scale[3],
                                 const float bias[3])
{
    const int32_t bits = FF_COEF_BITS + taps->mid_bits;
    const __m256 by = per_channel_avx2(scale, 1.0f / (float)((int32_t)1 << bits)), add = per_channel_avx2(bias, 1.0f);
    const __m256i zero = _mm256_setzero_si256(), top = _mm256_set1_epi32((int32_t)255 << bits);
    const int clip = taps->mid_bits != FF_MID_BITS;
    for (int32_t i = 0; i < taps->count; i += 4, dst += 12) {
        __m256i sum[2];
        four_sums_avx2(sum, src, taps, i);
        for (int k = 0; k < 2; k++) {
            if (clip)
                sum[k] = _mm256_min_epi32(_mm256_max_epi32(sum[k], zero), top);
            /* A product and a sum, each rounded: the target has no fused multiply-add on purpose. */
            const __m256 v = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum[k]), by), add);
            _mm_storeu_ps(dst + 6 * k, _mm256_castps256_ps128(v));
            _mm_storeu_ps(dst + 6 * k + 3, _mm256_extractf128_ps(v, 1));
        }
    }
}

AVX2 static void across_u8_avx2(uint8_t *dst, const int16_t *src, const ff_taps *taps)
{
    const int32_t bits = FF_COEF_BITS + taps->mid_bits;
    const __m256i half = _mm256_set1_epi32((int32_t)1 << (bits - 1));
    const __m128i shift = _mm_cvtsi32_si128(bits);
    const __m128i close = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    for (int32_t i = 0; i < taps->count; i += 4, dst += 12) {
        __m256i sum[2];
        four_sums_avx2(sum, src, taps, i);
        const __m256i a = _mm256_sra_epi32(_mm256_add_epi32(sum[0], half), shift);
        const __m256i b = _mm256_sra_epi32(_mm256_add_epi32(sum[1], half), shift);
        const __m256i words = _mm256_packs_epi32(a, b), bytes = _mm256_packus_epi16(words, words);
        /* lanes hold pixels 0, 2 and 1, 3 */
        const __m128i four = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
        _mm_storeu_si128((void *)dst, _mm_shuffle_epi8(four, close));
    }
}

/* As four_sums_avx2, for pixels i and i + 1; wide is theirs. */
AVX512 INLINE __m256i two_sums_vnni(const int16_t *src, const int32_t *start, const int32_t *wide, int32_t pairs)
{
    const __m256i order = _mm256_broadcast_i32x4(_mm_setr_epi8(TWO_PIXELS));
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

/* ---- stage to result ---- */

AVX2 static void matrix_avx2(float *rgb, int64_t n, const float m[12], const float low[3], const float high[3])
{
    __m256 column[4];
    for (int k = 0; k < 4; k++) {
        const float c[3] = {m[k], m[4 + k], m[8 + k]};
        column[k] = per_channel_avx2(c, 1.0f);
    }
    const __m256 floor = per_channel_avx2(low, 1.0f), ceiling = per_channel_avx2(high, 1.0f);
    const __m128i three = _mm_setr_epi32(-1, -1, -1, 0);
    int64_t i = 0;
    for (; i + 3 <= n; i += 2, rgb += 6) { /* a load takes one value of the next pixel along */
        const __m256 v = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rgb)), _mm_loadu_ps(rgb + 3), 1);
        __m256 s = _mm256_add_ps(_mm256_mul_ps(column[0], _mm256_permute_ps(v, 0x00)),
                                 _mm256_mul_ps(column[1], _mm256_permute_ps(v, 0x55)));
        s = _mm256_add_ps(s, _mm256_mul_ps(column[2], _mm256_permute_ps(v, 0xaa)));
        s = _mm256_add_ps(s, column[3]);
        s = _mm256_min_ps(_mm256_max_ps(s, floor), ceiling);
        _mm_storeu_ps(rgb, _mm256_castps256_ps128(s)); /* its fourth value is overwritten next */
        _mm_maskstore_ps(rgb + 3, three, _mm256_extractf128_ps(s, 1));
    }
    ff_rows_plain.matrix(rgb, n - i, m, low, high);
}

AVX2 static void to_f16_avx2(uint16_t *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(dst + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    ff_rows_plain.to_f16(dst + i, src + i, n - i);
}

AVX2 INLINE __m256i rounded(const float *src)
{
    const __m256 v = _mm256_min_ps(_mm256_max_ps(_mm256_loadu_ps(src), _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return _mm256_cvtps_epi32(v);
}

AVX2 static void to_u8_avx2(uint8_t *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(rounded(src + i), rounded(src + i + 8)), 0xd8);
        _mm_storeu_si128((void *)(dst + i),
                         _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
    ff_rows_plain.to_u8(dst + i, src + i, n - i);
}

/* Past the caches: the row is the consumer's, and reading its old contents in would cost as much as writing it. */
AVX2 static void out_avx2(void *dst, const void *src, size_t bytes)
{
    uint8_t *to = dst;
    const uint8_t *from = src;
    const size_t head = -(uintptr_t)to & 63;
    if (bytes < 512) {
        memcpy(to, from, bytes);
        return;
    }
    memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    for (; bytes >= 64; bytes -= 64, to += 64, from += 64) {
        const __m256i a = _mm256_loadu_si256((const void *)from), b = _mm256_loadu_si256((const void *)(from + 32));
        _mm256_stream_si256((void *)to, a);
        _mm256_stream_si256((void *)(to + 32), b);
    }
    memcpy(to, from, bytes);
}

/* Streamed stores are not ordered by a release store, unlike all others on this architecture. */
static void settle_x86(void)
{
    _mm_sfence();
}

/* Values 0, 3, 6 of a register, 1, 4, 7 of the next and 2, 5 of the third are one channel, in shuffled order. */
AVX2 static void planes_f32(float *const dst[3], const float *src, int64_t n)
{
    const __m256i order[3] = {_mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5), _mm256_setr_epi32(1, 4, 7, 2, 5, 0, 3, 6),
                              _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7)};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8, src += 24) {
        const __m256 a = _mm256_loadu_ps(src), b = _mm256_loadu_ps(src + 8), c = _mm256_loadu_ps(src + 16);
        const __m256 red = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x92), c, 0x24);
        const __m256 green = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x24), c, 0x49);
        const __m256 blue = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x49), c, 0x92);
        _mm256_storeu_ps(dst[0] + i, _mm256_permutevar8x32_ps(red, order[0]));
        _mm256_storeu_ps(dst[1] + i, _mm256_permutevar8x32_ps(green, order[1]));
        _mm256_storeu_ps(dst[2] + i, _mm256_permutevar8x32_ps(blue, order[2]));
    }
    void *const rest[3] = {dst[0] + i, dst[1] + i, dst[2] + i};
    ff_rows_plain.planes(rest, src, n - i, 4);
}

/* 48 bytes are 16 / size whole pixels; each plane collects its bytes from three registers. */
AVX2 static void planes_small(uint8_t *const dst[3], const uint8_t *src, int64_t n, int size)
{
    uint8_t pick[3][3][16];
    memset(pick, 0x80, sizeof pick);
    for (int k = 0; k < 16; k++)
        for (int c = 0; c < 3; c++) {
            const int at = (k / size * 3 + c) * size + k % size;
            pick[c][at / 16][k] = (uint8_t)(at % 16);
        }
    const int step = 16 / size;
    int64_t i = 0;
    for (; i + step <= n; i += step, src += 48) {
        const __m128i a = _mm_loadu_si128((const void *)src), b = _mm_loadu_si128((const void *)(src + 16)),
                      d = _mm_loadu_si128((const void *)(src + 32));
        for (int c = 0; c < 3; c++) {
            const __m128i u = _mm_shuffle_epi8(a, _mm_loadu_si128((const void *)pick[c][0]));
            const __m128i v = _mm_shuffle_epi8(b, _mm_loadu_si128((const void *)pick[c][1]));
            const __m128i w = _mm_shuffle_epi8(d, _mm_loadu_si128((const void *)pick[c][2]));
            _mm_storeu_si128((void *)(dst[c] + i * size), _mm_or_si128(u, _mm_or_si128(v, w)));
        }
    }
    void *const rest[3] = {dst[0] + i * size, dst[1] + i * size, dst[2] + i * size};
    ff_rows_plain.planes(rest, src, n - i, size);
}

AVX2 static void planes_avx2(void *const dst[3], const void *src, int64_t n, int size)
{
    if (size == 4) {
        float *const to[3] = {dst[0], dst[1], dst[2]};
        planes_f32(to, src, n);
    } else {
        uint8_t *const to[3] = {dst[0], dst[1], dst[2]};
        planes_small(to, src, n, size);
    }
}

const ff_rows ff_rows_avx2 = {
    .name = "avx2",
    .vertical = vertical_avx2,
    .triple = triple_avx2,
    .across_f32 = across_f32_avx2,
    .across_u8 = across_u8_avx2,
    .matrix = matrix_avx2,
    .to_f16 = to_f16_avx2,
    .to_u8 = to_u8_avx2,
    .out = out_avx2,
    .settle = settle_x86,
    .planes = planes_avx2,
};

const ff_rows ff_rows_avx512 = {
    .name = "avx512",
    .vertical = vertical_avx512,
    .triple = triple_avx2,
    .across_f32 = across_f32_avx512,
    .across_u8 = across_u8_avx512,
    .matrix = matrix_avx2,
    .to_f16 = to_f16_avx2,
    .to_u8 = to_u8_avx2,
    .out = out_avx2,
    .settle = settle_x86,
    .planes = planes_avx2,
};

#else
typedef int ff_avx2_is_empty; /* ISO C wants a declaration in every file */
#endif
