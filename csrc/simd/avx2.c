/* avx2: the inner loops for AVX2; the same bits as plain.c. */
#if defined(__x86_64__)

#include "simd/shared.h"

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline))

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
        const __m256i by = _mm256_set1_epi32(ff_pair_of(coef + t));
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
        ff_loops_plain.vertical(dst, rows, coef, taps, n, shift);
        return;
    }
    const __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    for (int64_t i = 0; i + 32 <= n; i += 32)
        vertical_32(dst, rows, coef, taps, i, half, count);
    if (n % 32 != 0) /* the last 32 again: nothing behind the rows may be read */
        vertical_32(dst, rows, coef, taps, n - 32, half, count);
}

AVX2 void ff_avx2_triple(int16_t *dst, const int16_t *src, int64_t n)
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

AVX2 INLINE __m256i two_starts(const int16_t *src, const int32_t *start)
{
    const __m128i a = _mm_loadu_si128((const void *)(src + 3 * (int64_t)start[0]));
    const __m128i b = _mm_loadu_si128((const void *)(src + 3 * (int64_t)start[1]));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

/* Sums of pixels i..i+3 of the result: two in each register. */
AVX2 INLINE void four_sums_avx2(__m256i sum[2], const int16_t *src, const ff_taps *taps, int32_t i)
{
    const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(FF_TWO_PIXELS));
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

/* ---- stage to result ---- */

AVX2 void ff_avx2_matrix(float *rgb, int64_t n, const float m[12], const float low[3], const float high[3])
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
    ff_loops_plain.matrix(rgb, n - i, m, low, high);
}

AVX2 void ff_avx2_to_f16(void *dst, const float *src, int64_t n)
{
    uint16_t *to = dst;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    ff_plain_to_f16(to + i, src + i, n - i);
}

AVX2 INLINE __m256i rounded(const float *src)
{
    const __m256 v = _mm256_min_ps(_mm256_max_ps(_mm256_loadu_ps(src), _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return _mm256_cvtps_epi32(v);
}

AVX2 void ff_avx2_to_u8(void *dst, const float *src, int64_t n)
{
    uint8_t *to = dst;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(rounded(src + i), rounded(src + i + 8)), 0xd8);
        _mm_storeu_si128((void *)(to + i),
                         _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
    ff_plain_to_u8(to + i, src + i, n - i);
}

/* Past the caches: the row is the consumer's, and reading its old contents in would cost as much as writing it. */
AVX2 void ff_avx2_stream(void *dst, const void *src, size_t bytes)
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
void ff_avx2_settle(void)
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
    ff_loops_plain.planes(rest, src, n - i, 4);
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
    ff_loops_plain.planes(rest, src, n - i, size);
}

AVX2 void ff_avx2_planes(void *const dst[3], const void *src, int64_t n, int size)
{
    if (size == 4) {
        float *const to[3] = {dst[0], dst[1], dst[2]};
        planes_f32(to, src, n);
    } else {
        uint8_t *const to[3] = {dst[0], dst[1], dst[2]};
        planes_small(to, src, n, size);
    }
}

/* ---- between pixels ---- */

/* Eight pixels at a time; the same integer arithmetic as ff_blend, so the same bits. */
AVX2 int64_t ff_avx2_blend(const ff_blend_source *s, uint8_t *to, int64_t n, int64_t x, int64_t y, int64_t dx,
                           int64_t dy)
{
    if (n < 8 || s->stride * s->height > INT32_MAX) /* gathers take 32-bit offsets */
        return ff_plain_blend(s, to, n, x, y, dx, dy);
    /* shuffle_ps works on halves, so the pixels 0 1 4 5 and 2 3 6 7 come out of it in order. */
    __m256i xa = _mm256_setr_epi64x(x, x + dx, x + 4 * dx, x + 5 * dx);
    __m256i ya = _mm256_setr_epi64x(y, y + dy, y + 4 * dy, y + 5 * dy);
    __m256i xb = _mm256_add_epi64(xa, _mm256_set1_epi64x(2 * dx));
    __m256i yb = _mm256_add_epi64(ya, _mm256_set1_epi64x(2 * dy));
    const __m256i step_x = _mm256_set1_epi64x(8 * dx), step_y = _mm256_set1_epi64x(8 * dy);
    const __m256i stride = _mm256_set1_epi32((int)s->stride), three = _mm256_set1_epi32(3);
    const __m256i low8 = _mm256_set1_epi32(255), one = _mm256_set1_epi32(FF_BLEND_ONE);
    const __m256i half = _mm256_set1_epi32(1 << (FF_BLEND_DROP_1 - 1));
    const __m256i half2 = _mm256_set1_epi32(1 << (FF_BLEND_DROP_2 - 1));
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
        const __m256i fx = _mm256_srli_epi32(LOW(xa, xb), FF_BLEND_FRACTION - FF_BLEND_WEIGHT);
        const __m256i fy = _mm256_srli_epi32(LOW(ya, yb), FF_BLEND_FRACTION - FF_BLEND_WEIGHT);
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
        const __m256i ps = _mm256_srli_epi32(_mm256_add_epi32(p, half), FF_BLEND_DROP_1);                              \
        const __m256i qs = _mm256_srli_epi32(_mm256_add_epi32(q, half), FF_BLEND_DROP_1);                              \
        const __m256i v = _mm256_madd_epi16(_mm256_or_si256(ps, _mm256_slli_epi32(qs, 16)), wy);                       \
        const __m256i whole = _mm256_srli_epi32(_mm256_add_epi32(v, half2), FF_BLEND_DROP_2);                          \
        rgb = _mm256_or_si256(rgb, _mm256_slli_epi32(whole, shift));                                                   \
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
/* ---- colour ---- */

/* 24 bytes, not one more: pixels 0 to 3 in bytes 0..11 of the lower half, 4 to 7 in bytes 4..15 of the upper. */
AVX2 INLINE __m256i load8(const uint8_t *rgb)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)rgb);
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(rgb + 8));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* Byte c of each of those pixels in a 32-bit lane of its own; -1 makes a zero. */
#define PLANE(c)                                                                                                       \
    _mm256_setr_epi8(c, -1, -1, -1, c + 3, -1, -1, -1, c + 6, -1, -1, -1, c + 9, -1, -1, -1, c + 4, -1, -1, -1, c + 7, \
                     -1, -1, -1, c + 10, -1, -1, -1, c + 13, -1, -1, -1)

AVX2 INLINE void load8_planes(const uint8_t *rgb, __m256 *r, __m256 *g, __m256 *b)
{
    const __m256i pixels = load8(rgb);
    *r = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, PLANE(0)));
    *g = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, PLANE(1)));
    *b = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, PLANE(2)));
}

AVX2 INLINE __m256i whole(__m256 v)
{
    const __m256 in = _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return _mm256_cvttps_epi32(_mm256_add_ps(in, _mm256_set1_ps(0.5f)));
}

AVX2 INLINE void store8(uint8_t *rgb, __m256 r, __m256 g, __m256 b)
{
    const __m256i pack = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8,
                                          9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i words = _mm256_or_si256(whole(r), _mm256_or_si256(_mm256_slli_epi32(whole(g), 8),
                                                                    _mm256_slli_epi32(whole(b), 16)));
    uint8_t out[32];
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_shuffle_epi8(words, pack));
    memcpy(rgb, out, 12);
    memcpy(rgb + 12, out + 16, 12);
}

AVX2 void ff_avx2_sums(const uint8_t *rgb, int64_t width, uint64_t sum[3])
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i r = zero, g = zero, b = zero;
    for (; width >= 8; width -= 8, rgb += 24) {
        const __m256i pixels = load8(rgb);
        r = _mm256_add_epi64(r, _mm256_sad_epu8(_mm256_shuffle_epi8(pixels, PLANE(0)), zero));
        g = _mm256_add_epi64(g, _mm256_sad_epu8(_mm256_shuffle_epi8(pixels, PLANE(1)), zero));
        b = _mm256_add_epi64(b, _mm256_sad_epu8(_mm256_shuffle_epi8(pixels, PLANE(2)), zero));
    }
    uint64_t lanes[3][4];
    _mm256_storeu_si256((__m256i *)(void *)lanes[0], r);
    _mm256_storeu_si256((__m256i *)(void *)lanes[1], g);
    _mm256_storeu_si256((__m256i *)(void *)lanes[2], b);
    for (int c = 0; c < 3; c++)
        sum[c] += lanes[c][0] + lanes[c][1] + lanes[c][2] + lanes[c][3];
    ff_plain_sums(rgb, width, sum);
}

AVX2 INLINE __m256 dot(const float m[4], __m256 r, __m256 g, __m256 b)
{
    const __m256 rg = _mm256_add_ps(_mm256_mul_ps(_mm256_set1_ps(m[0]), r), _mm256_mul_ps(_mm256_set1_ps(m[1]), g));
    return _mm256_add_ps(_mm256_add_ps(rg, _mm256_mul_ps(_mm256_set1_ps(m[2]), b)), _mm256_set1_ps(m[3]));
}

AVX2 void ff_avx2_matrix8(uint8_t *rgb, int64_t width, const float m[12])
{
    for (; width >= 8; width -= 8, rgb += 24) {
        __m256 r, g, b;
        load8_planes(rgb, &r, &g, &b);
        store8(rgb, dot(m, r, g, b), dot(m + 4, r, g, b), dot(m + 8, r, g, b));
    }
    ff_plain_matrix8(rgb, width, m);
}

AVX2 INLINE __m256 below_six_avx2(__m256 k)
{
    const __m256 six = _mm256_set1_ps(6.0f);
    return _mm256_blendv_ps(k, _mm256_sub_ps(k, six), _mm256_cmp_ps(k, six, _CMP_GE_OQ));
}

AVX2 INLINE __m256 channel_avx2(float n, __m256 hue, __m256 value, __m256 delta)
{
    const __m256 k = below_six_avx2(_mm256_add_ps(_mm256_set1_ps(n), hue));
    const __m256 ramp = _mm256_min_ps(_mm256_min_ps(k, _mm256_sub_ps(_mm256_set1_ps(4.0f), k)), _mm256_set1_ps(1.0f));
    return _mm256_sub_ps(value, _mm256_mul_ps(delta, _mm256_max_ps(ramp, _mm256_setzero_ps())));
}

AVX2 void ff_avx2_hue(uint8_t *rgb, int64_t width, float sixths)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    for (; width >= 8; width -= 8, rgb += 24) {
        __m256 r, g, b;
        load8_planes(rgb, &r, &g, &b);
        const __m256 value = _mm256_max_ps(r, _mm256_max_ps(g, b));
        const __m256 delta = _mm256_sub_ps(value, _mm256_min_ps(r, _mm256_min_ps(g, b)));
        const __m256 scale = _mm256_div_ps(one, _mm256_max_ps(delta, one));
        const __m256 red = _mm256_mul_ps(_mm256_sub_ps(g, b), scale);
        const __m256 green = _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(b, r), scale), _mm256_set1_ps(2.0f));
        const __m256 blue = _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(r, g), scale), _mm256_set1_ps(4.0f));
        __m256 hue = _mm256_blendv_ps(blue, green, _mm256_cmp_ps(g, value, _CMP_GE_OQ));
        hue = _mm256_blendv_ps(hue, red, _mm256_cmp_ps(r, value, _CMP_GE_OQ));
        hue = below_six_avx2(_mm256_add_ps(hue, _mm256_set1_ps(sixths)));
        store8(rgb, channel_avx2(5.0f, hue, value, delta), channel_avx2(3.0f, hue, value, delta),
               channel_avx2(1.0f, hue, value, delta));
    }
    ff_plain_hue(rgb, width, sixths);
}

const ff_loops ff_loops_avx2 = {
    .name = "avx2",
    .vertical = vertical_avx2,
    .triple = ff_avx2_triple,
    .across_f32 = across_f32_avx2,
    .across_u8 = across_u8_avx2,
    .matrix = ff_avx2_matrix,
    .convert = {[FF_U8] = ff_avx2_to_u8, [FF_F16] = ff_avx2_to_f16},
    .stream = ff_avx2_stream,
    .settle = ff_avx2_settle,
    .planes = ff_avx2_planes,
    .blend = ff_avx2_blend,
    .sums = ff_avx2_sums,
    .matrix8 = ff_avx2_matrix8,
    .hue = ff_avx2_hue,
    .frames = &ff_frames_avx2,
};

#else
typedef int ff_avx2_is_empty; /* ISO C wants a declaration in every file */
#endif
