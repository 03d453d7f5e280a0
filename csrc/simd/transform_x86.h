/* transform_x86: the inverse transform of a JPEG decoder, one block in each 128-bit lane of a vector; the same bytes as
 * frames_plain.c.
 *
 *   TARGET                      the attribute of functions for these processors
 *   VECTOR, OP(name)            the type of a vector, and the function of that name
 *   BLOCKS                      how many lanes it has
 *   PLUS_PRODUCTS(sum, a, b)    the sums of two products of words each, added to 32-bit sums
 *   SHIFTED(v, by)              32-bit values shifted right
 *   ROWS_OF(blocks, y)          row y of these blocks
 *   SAME(row)                   a row of 128 bits in each lane
 *   SIGNED(size, v, by)         v times by, where size is |v| times by
 *   ANY(v)                      whether a bit of v is not zero
 *   PUT(to, stride, rows)       two rows of all blocks to memory; each lane has 8 bytes of the one and of the other
 */
#if defined(__GNUC__) && !defined(__clang__)
/* The short loops over eight vectors must be unrolled, or the vectors lie in memory; clang does so at -O2. */
#pragma GCC optimize("O3")
#endif

#include "simd/frames.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define PAIR(a, b) OP(set1_epi32)((int32_t)((uint32_t)(uint16_t)(a) | (uint32_t)(uint16_t)(b) << 16))

/* Half of the columns of eight rows, as pairs of rows that are multiplied together: 0 4, 2 6, 1 3, 5 7. */
TARGET INLINE void half_of_eight(const VECTOR pairs[4], VECTOR out[8], VECTOR round, int shift)
{
    const VECTOR sum = PLUS_PRODUCTS(round, pairs[0], PAIR(8192, 8192));
    const VECTOR difference = PLUS_PRODUCTS(round, pairs[0], PAIR(8192, -8192));
    const VECTOR even[4] = {PLUS_PRODUCTS(sum, pairs[1], PAIR(10703, 4433)),
                            PLUS_PRODUCTS(difference, pairs[1], PAIR(4433, -10704)),
                            PLUS_PRODUCTS(difference, pairs[1], PAIR(-4433, 10704)),
                            PLUS_PRODUCTS(sum, pairs[1], PAIR(-10703, -4433))};
#define ODD(a, b, c, d) PLUS_PRODUCTS(OP(madd_epi16)(pairs[2], PAIR(a, b)), pairs[3], PAIR(c, d))
    const VECTOR odd[4] = {ODD(11363, 9633, 6437, 2260), ODD(9633, -2259, -11362, -6436), ODD(6437, -11362, 2261, 9633),
                           ODD(2260, -6436, 9633, -11363)};
#undef ODD
    for (int k = 0; k < 4; k++) {
        out[k] = SHIFTED(OP(add_epi32)(even[k], odd[k]), shift);
        out[7 - k] = SHIFTED(OP(sub_epi32)(even[k], odd[k]), shift);
    }
}

TARGET INLINE void eight(VECTOR v[8], int shift)
{
    const VECTOR round = OP(set1_epi32)(1 << (shift - 1));
    const VECTOR low[4] = {OP(unpacklo_epi16)(v[0], v[4]), OP(unpacklo_epi16)(v[2], v[6]),
                           OP(unpacklo_epi16)(v[1], v[3]), OP(unpacklo_epi16)(v[5], v[7])};
    const VECTOR high[4] = {OP(unpackhi_epi16)(v[0], v[4]), OP(unpackhi_epi16)(v[2], v[6]),
                            OP(unpackhi_epi16)(v[1], v[3]), OP(unpackhi_epi16)(v[5], v[7])};
    VECTOR a[8], b[8];
    half_of_eight(low, a, round, shift);
    half_of_eight(high, b, round, shift);
    for (int k = 0; k < 8; k++)
        v[k] = OP(packs_epi32)(a[k], b[k]);
}

/* In each lane. */
TARGET INLINE void transpose(VECTOR v[8])
{
    VECTOR a[8], b[8];
    for (int k = 0; k < 4; k++) {
        a[2 * k] = OP(unpacklo_epi16)(v[k], v[k + 4]);
        a[2 * k + 1] = OP(unpackhi_epi16)(v[k], v[k + 4]);
    }
    for (int k = 0; k < 4; k++) {
        b[2 * k] = OP(unpacklo_epi16)(a[k], a[k + 4]);
        b[2 * k + 1] = OP(unpackhi_epi16)(a[k], a[k + 4]);
    }
    for (int k = 0; k < 4; k++) {
        v[2 * k] = OP(unpacklo_epi16)(b[k], b[k + 4]);
        v[2 * k + 1] = OP(unpackhi_epi16)(b[k], b[k + 4]);
    }
}

TARGET INLINE int transform_lanes(int16_t *const blocks[], const int16_t *quantiser, uint8_t *to, int64_t stride)
{
    VECTOR v[8], sizes = PAIR(0, 0), beyond = sizes;
    for (int y = 0; y < 8; y++) {
        const VECTOR by = SAME(_mm_loadu_si128((const void *)(quantiser + 8 * y))), coef = ROWS_OF(blocks, y);
        const VECTOR size = OP(abs_epi16)(coef), product = OP(mullo_epi16)(size, by);
        beyond |= OP(mulhi_epu16)(size, by);
        sizes = OP(adds_epu16)(sizes, product);
        v[y] = SIGNED(product, coef, by);
    }
    beyond |= OP(subs_epu16)(sizes, OP(set1_epi16)(FF_COLUMN_MOST));
    if (ANY(beyond))
        return 0;
    for (int k = 0; k < BLOCKS; k++)
        for (int y = 0; y < 8; y += 2)
            _mm256_store_si256((void *)(blocks[k] + 8 * y), _mm256_setzero_si256());
    eight(v, 11);
    transpose(v);
    eight(v, 18);
    /* v[k] is column k; pack, and turn it into rows byte by byte. */
    const VECTOR c04 = OP(packs_epi16)(v[0], v[4]), c15 = OP(packs_epi16)(v[1], v[5]);
    const VECTOR c26 = OP(packs_epi16)(v[2], v[6]), c37 = OP(packs_epi16)(v[3], v[7]);
    const VECTOR c01 = OP(unpacklo_epi8)(c04, c15), c45 = OP(unpackhi_epi8)(c04, c15);
    const VECTOR c23 = OP(unpacklo_epi8)(c26, c37), c67 = OP(unpackhi_epi8)(c26, c37);
    const VECTOR upper_left = OP(unpacklo_epi16)(c01, c23), lower_left = OP(unpackhi_epi16)(c01, c23);
    const VECTOR upper_right = OP(unpacklo_epi16)(c45, c67), lower_right = OP(unpackhi_epi16)(c45, c67);
    const VECTOR middle = OP(set1_epi8)((char)0x80);
    PUT(to, stride, OP(unpacklo_epi32)(upper_left, upper_right) ^ middle);
    PUT(to + 2 * stride, stride, OP(unpackhi_epi32)(upper_left, upper_right) ^ middle);
    PUT(to + 4 * stride, stride, OP(unpacklo_epi32)(lower_left, lower_right) ^ middle);
    PUT(to + 6 * stride, stride, OP(unpackhi_epi32)(lower_left, lower_right) ^ middle);
    return 1;
}

TARGET static int transform(int16_t *const blocks[4], const int16_t *quantiser, uint8_t *to, int64_t stride)
{
    for (int k = 0; k < 4; k += BLOCKS)
        if (!transform_lanes(blocks + k, quantiser, to + 8 * k, stride))
            return 0;
    return 1;
}
