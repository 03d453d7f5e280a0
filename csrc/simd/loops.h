/* loops: the inner loops of the kernel, one row at a time; a plain reference and SIMD variants with the same bits.
 *
 * The vector forms do the same operations in the same order and without fused products, so their bits are the same.
 * A variant is one file that fills in the table, and one row in cpu.c.
 *
 *   8-bit rows --vertical--> one 16-bit row --across--> one row of 8-bit or float pixels --> store
 *
 * Fixed point: coefficients have FF_COEF_BITS fraction bits; a 16-bit pixel has mid_bits of them, FF_MID_BITS where no
 * coefficient is negative (255 << 7 still fits), FF_MID_BITS_LOBES where the filter can overshoot.  Sums are 32 bits wide
 * and are rounded once after the vertical pass, never between the second pass and the result.
 */
#ifndef FF_LOOPS_H
#define FF_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#include "simd/dtype.h"
#include "simd/frames.h"

#define FF_COEF_BITS 14
#define FF_MID_BITS 7
#define FF_MID_BITS_LOBES 6

/* How the pixels of one axis are made of the source's pixels.
 * start, length: [count rounded up to 4]; the extra pixels have length 0.
 * coef: [count rounded up to 4][width]; width is even, unused taps are 0.
 * wide: the same coefficients as the SIMD variants load them, for groups of four pixels:
 *       [group][pair of taps][pixel][4 times the pair], a pair being coef[2p] | coef[2p + 1] << 16.  NULL if not wanted. */
typedef struct ff_taps {
    int32_t count, width;
    int32_t mid_bits;
    int32_t *start, *length;
    int16_t *coef;
    int32_t *wide;
} ff_taps;

/* Extra 16-bit pixels that across may read behind the last one named by taps. */
#define FF_ACROSS_SLACK 8
/* Extra pixels that across and from_u8 may write behind the last one. */
#define FF_STAGE_SLACK 8

/* An image that is read between its pixels.  Coordinates are fixed point with 32 fraction bits: over 2^16 pixels of a row
 * the rounded step drifts by at most 2^-17 pixel.  Bilinear weights are the topmost 11 of those bits: with two axes the
 * result is within 0.13 of exact.  A blended row value 255 * 2^11 is brought down to 15 bits, so that both blends fit
 * 16-bit multiplication. */
#define FF_BLEND_FRACTION 32
#define FF_BLEND_WEIGHT 11
#define FF_BLEND_ONE (1 << FF_BLEND_WEIGHT)
#define FF_BLEND_TOP 7                                   /* fraction bits that a value keeps between the two blends, */
#define FF_BLEND_DROP_1 (FF_BLEND_WEIGHT - FF_BLEND_TOP) /* and how many each of the two drops */
#define FF_BLEND_DROP_2 (FF_BLEND_WEIGHT + FF_BLEND_TOP)

typedef struct ff_blend_source {
    const uint8_t *pixels;
    int64_t stride, height;
} ff_blend_source;

static inline uint8_t ff_blend(uint32_t p00, uint32_t p01, uint32_t p10, uint32_t p11, uint32_t fx, uint32_t fy)
{
    const uint32_t half = 1u << (FF_BLEND_DROP_1 - 1);
    const uint32_t top = (p00 * (FF_BLEND_ONE - fx) + p01 * fx + half) >> FF_BLEND_DROP_1;
    const uint32_t bottom = (p10 * (FF_BLEND_ONE - fx) + p11 * fx + half) >> FF_BLEND_DROP_1;
    return (uint8_t)((top * (FF_BLEND_ONE - fy) + bottom * fy + (1u << (FF_BLEND_DROP_2 - 1))) >> FF_BLEND_DROP_2);
}

static inline uint32_t ff_blend_weight(int64_t fixed)
{
    return (uint32_t)fixed >> (FF_BLEND_FRACTION - FF_BLEND_WEIGHT);
}

typedef struct ff_loops {
    const char *name;

    /* dst[i] = sum over t of coef[t] * rows[t][i], for i < n, rounded and shifted right by shift, saturated.
     * taps is even. */
    void (*vertical)(int16_t *dst, const uint8_t *const *rows, const int16_t *coef, int32_t taps, int64_t n, int32_t shift);

    /* dst[3i..3i+2] = src[i]; dst may be written up to 16 values too far. */
    void (*triple)(int16_t *dst, const int16_t *src, int64_t n);

    /* One row of count RGB pixels from a row of 16-bit RGB pixels.  f32: clip to 0..255 first where taps can
     * overshoot, then scale[c] * pixel + bias[c].  u8: rounded half up and clipped. */
    void (*across_f32)(float *dst, const int16_t *src, const ff_taps *taps, const float scale[3], const float bias[3]);
    void (*across_u8)(uint8_t *dst, const int16_t *src, const ff_taps *taps);

    /* rgb = min(max(m[4r] R + m[4r+1] G + m[4r+2] B + m[4r+3], low[r]), high[r]) in place for n pixels. */
    void (*matrix)(float *rgb, int64_t n, const float m[12], const float low[3], const float high[3]);

    /* By dtype: floats to what is stored.  NULL: as plain C in dtype.c does it. */
    ff_convert *convert[FF_DTYPES];

    /* Copy to memory that this core will not read again; settle must follow before another core is told of it. */
    void (*stream)(void *dst, const void *src, size_t bytes);
    void (*settle)(void);

    /* Interleaved RGB to three planes; size is 1, 2 or 4 bytes a value. */
    void (*planes)(void *const dst[3], const void *src, int64_t n, int size);

    /* Pixels (x + i dx, y + i dy), i < n, of an image, blended; all of them inside.  Returns how many it has done: it may
     * leave some at the end. */
    int64_t (*blend)(const ff_blend_source *s, uint8_t *dst, int64_t n, int64_t x, int64_t y, int64_t dx, int64_t dy);

    /* n pixels of 8 bits: add up each channel; the matrix of `matrix`, rounded half up and clipped, in place; turn the
     * hue by sixths of the colour circle (0..6), in place. */
    void (*sums)(const uint8_t *rgb, int64_t n, uint64_t sum[3]);
    void (*matrix8)(uint8_t *rgb, int64_t n, const float m[12]);
    void (*hue)(uint8_t *rgb, int64_t n, float sixths);

    /* Of the decoder of JPEG.  NULL: libjpeg-turbo decodes. */
    const ff_frame_loops *frames;
} ff_loops;

extern const ff_loops ff_loops_plain; /* every other variant leaves its remainders to this one */

#endif
