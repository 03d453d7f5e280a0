/* shared: loops that a variant takes from another one as they are, and what two of them are written with. */
#ifndef FF_SHARED_H
#define FF_SHARED_H

#include <string.h>

#include "simd/loops.h"

void ff_plain_matrix(float *rgb, int64_t n, const float m[12], const float low[3], const float high[3]);
void ff_plain_stream(void *dst, const void *src, size_t bytes);
void ff_plain_settle(void);
int64_t ff_plain_blend(const ff_blend_source *s, uint8_t *to, int64_t n, int64_t x, int64_t y, int64_t dx, int64_t dy);
void ff_plain_sums(const uint8_t *rgb, int64_t n, uint64_t sum[3]);
void ff_plain_matrix8(uint8_t *rgb, int64_t n, const float m[12]);
void ff_plain_hue(uint8_t *rgb, int64_t n, float sixths);

#if defined(__x86_64__)
void ff_avx2_triple(int16_t *dst, const int16_t *src, int64_t n);
void ff_avx2_matrix(float *rgb, int64_t n, const float m[12], const float low[3], const float high[3]);
ff_convert ff_avx2_to_u8, ff_avx2_to_f16;
void ff_avx2_stream(void *dst, const void *src, size_t bytes);
void ff_avx2_settle(void);
void ff_avx2_planes(void *const dst[3], const void *src, int64_t n, int size);
int64_t ff_avx2_blend(const ff_blend_source *s, uint8_t *to, int64_t n, int64_t x, int64_t y, int64_t dx, int64_t dy);
void ff_avx2_sums(const uint8_t *rgb, int64_t n, uint64_t sum[3]);
void ff_avx2_matrix8(uint8_t *rgb, int64_t n, const float m[12]);
void ff_avx2_hue(uint8_t *rgb, int64_t n, float sixths);
#endif

/* Two coefficients as they lie in memory: what a multiply-add takes for a pair of taps. */
static inline int32_t ff_pair_of(const int16_t *coef)
{
    int32_t pair;
    memcpy(&pair, coef, sizeof pair);
    return pair;
}

/* The shuffle of two RGB pixels of words to r0 r1 g0 g1 b0 b1 0 0. */
#define FF_TWO_PIXELS 0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1

#endif
