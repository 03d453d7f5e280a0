/* frames_x86: the loops of a JPEG decoder that are the same for AVX2 and AVX-512, in vectors of 256 bits; the same bytes as
 * frames_plain.c.
 *
 *   TARGET    the attribute of functions for these processors
 *   FRAMES    the name of the table; transform is in the file that includes this one
 */

#include "simd/frames.h"

#include <immintrin.h>

TARGET static void halve(const uint8_t *pixels, uint8_t *to, int64_t stride)
{
    const __m256i ones = _mm256_set1_epi8(1), two = _mm256_set1_epi16(2);
    for (int y = 0; y < 4; y++, pixels += 64, to += stride) {
        const __m256i upper = _mm256_maddubs_epi16(_mm256_loadu_si256((const void *)pixels), ones);
        const __m256i lower = _mm256_maddubs_epi16(_mm256_loadu_si256((const void *)(pixels + 32)), ones);
        const __m256i means = _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(upper, lower), two), 2);
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(means, means), 0xd8);
        _mm_storeu_si128((void *)to, _mm256_castsi256_si128(bytes));
    }
}

/* ---- chroma ---- */

TARGET INLINE __m256i words(const uint8_t *from)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)from));
}

TARGET INLINE __m256i three_times(__m256i v)
{
    return _mm256_add_epi16(v, _mm256_add_epi16(v, v));
}

TARGET INLINE void put_in_turn(uint8_t *to, __m256i even, __m256i odd)
{
    _mm256_storeu_si256((void *)to, _mm256_or_si256(even, _mm256_slli_epi16(odd, 8)));
}

TARGET static void widen(uint8_t *to, const uint8_t *from, int64_t n)
{
    const __m256i one = _mm256_set1_epi16(1), two = _mm256_set1_epi16(2);
    for (int64_t i = 0; i < n; i += 16) {
        const __m256i here = three_times(words(from + i));
        const __m256i even = _mm256_add_epi16(_mm256_add_epi16(here, words(from + i - 1)), one);
        const __m256i odd = _mm256_add_epi16(_mm256_add_epi16(here, words(from + i + 1)), two);
        put_in_turn(to + 2 * i, _mm256_srli_epi16(even, 2), _mm256_srli_epi16(odd, 2));
    }
}

TARGET INLINE __m256i blend(const uint8_t *near, const uint8_t *far)
{
    return _mm256_add_epi16(three_times(words(near)), words(far));
}

TARGET static void widen_between(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n)
{
    const __m256i seven = _mm256_set1_epi16(7), eight_ = _mm256_set1_epi16(8);
    for (int64_t i = 0; i < n; i += 16) {
        const __m256i here = three_times(blend(near + i, far + i));
        const __m256i even = _mm256_add_epi16(_mm256_add_epi16(here, blend(near + i - 1, far + i - 1)), eight_);
        const __m256i odd = _mm256_add_epi16(_mm256_add_epi16(here, blend(near + i + 1, far + i + 1)), seven);
        put_in_turn(to + 2 * i, _mm256_srli_epi16(even, 4), _mm256_srli_epi16(odd, 4));
    }
}

TARGET static void between(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n, int bias)
{
    const __m256i more = _mm256_set1_epi16((int16_t)bias);
    for (int64_t i = 0; i < n; i += 16) {
        const __m256i v = _mm256_srli_epi16(_mm256_add_epi16(blend(near + i, far + i), more), 2);
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(v, v), 0xd8);
        _mm_storeu_si128((void *)(to + i), _mm256_castsi256_si128(bytes));
    }
}

/* ---- colour ---- */

/* (v factor / 2^16), rounded half up; v is below 2^14. */
TARGET INLINE __m256i times(__m256i v, int16_t factor)
{
    const __m256i twice = _mm256_mulhi_epi16(_mm256_add_epi16(v, v), _mm256_set1_epi16(factor));
    return _mm256_srai_epi16(_mm256_add_epi16(twice, _mm256_set1_epi16(1)), 1);
}

typedef struct channels {
    __m256i r, g, b;
} channels;

/* 16 pixels as words.  A factor above 1 is a whole number and a rest. */
TARGET INLINE channels sixteen(const uint8_t *y, const uint8_t *cb, const uint8_t *cr)
{
    const __m256i middle = _mm256_set1_epi16(128), half = _mm256_set1_epi32(1 << 15);
    const __m256i level = words(y), b = _mm256_sub_epi16(words(cb), middle), r = _mm256_sub_epi16(words(cr), middle);
    const __m256i by = _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)-22554 | (65536u - 46802u) << 16));
    const __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(b, r), by);
    const __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi16(b, r), by);
    const __m256i g = _mm256_packs_epi32(_mm256_srai_epi32(_mm256_add_epi32(low, half), 16),
                                         _mm256_srai_epi32(_mm256_add_epi32(high, half), 16));
    return (channels){
        .r = _mm256_add_epi16(_mm256_add_epi16(level, r), times(r, 91881 - 65536)),
        .g = _mm256_add_epi16(_mm256_sub_epi16(level, r), g),
        .b = _mm256_add_epi16(_mm256_add_epi16(level, _mm256_add_epi16(b, b)), times(b, 116130 - 131072)),
    };
}

TARGET INLINE __m256i bytes_of(__m256i first, __m256i second)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xd8);
}

TARGET INLINE void rgb_32(uint8_t *to, const uint8_t *y, const uint8_t *cb, const uint8_t *cr)
{
    const channels first = sixteen(y, cb, cr), second = sixteen(y + 16, cb + 16, cr + 16);
    const __m256i r = bytes_of(first.r, second.r), g = bytes_of(first.g, second.g), b = bytes_of(first.b, second.b);
    /* Bytes 0-15, 16-31 and 32-47 of 16 pixels, in each lane. */
#define SPREAD(v, ...) _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__)))
#define OF_THREE(p, q, s) _mm256_or_si256(_mm256_or_si256(p, q), s)
    const __m256i o0 = OF_THREE(SPREAD(r, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5),
                                SPREAD(g, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1),
                                SPREAD(b, -1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1));
    const __m256i o1 = OF_THREE(SPREAD(r, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1),
                                SPREAD(g, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10),
                                SPREAD(b, -1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1));
    const __m256i o2 = OF_THREE(SPREAD(r, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1),
                                SPREAD(g, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1),
                                SPREAD(b, 10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15));
    _mm256_storeu_si256((void *)to, _mm256_permute2x128_si256(o0, o1, 0x20));
    _mm256_storeu_si256((void *)(to + 32), _mm256_permute2x128_si256(o2, o0, 0x30));
    _mm256_storeu_si256((void *)(to + 64), _mm256_permute2x128_si256(o1, o2, 0x31));
}

TARGET static void rgb(uint8_t *to, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int64_t n)
{
    if (n < 32) {
        ff_frames_plain.rgb(to, y, cb, cr, n);
        return;
    }
    for (int64_t i = 0; i + 32 <= n; i += 32)
        rgb_32(to + 3 * i, y + i, cb + i, cr + i);
    if (n % 32 != 0) /* the last 32 again */
        rgb_32(to + 3 * (n - 32), y + n - 32, cb + n - 32, cr + n - 32);
}

const ff_frame_loops FRAMES = {
    .bmi2 = 1,
    .transform = transform,
    .halve = halve,
    .widen = widen,
    .widen_between = widen_between,
    .between = between,
    .rgb = rgb,
};
