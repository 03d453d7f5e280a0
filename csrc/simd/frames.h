/* frames: the inner loops of a JPEG decoder, from coefficients to rows of pixels; members of the table in loops.h.
 *
 * All give the integers of libjpeg-turbo's defaults: the accurate integer inverse transform, chroma upsampled by a triangle
 * filter, JFIF's YCbCr.
 */
#ifndef FF_FRAMES_H
#define FF_FRAMES_H

#include <stdint.h>

/* The sum of the absolute values in a column of dequantised coefficients that 16-bit sums bear in either pass: a column of
 * the first one is scaled by at most 5.55, and two of those are added.  No picture of 8 bits comes near. */
#define FF_COLUMN_MOST 2950

/* Bytes that these loops may read behind their sources and write behind their targets. */
#define FF_FRAME_SLACK 64

typedef struct ff_frame_loops {
    int bmi2; /* the processor has BMI2 */

    /* Four blocks of 8 x 8 coefficients, dequantised and transformed, to 8 rows of 32 bytes; then the coefficients are zero.
     * quantiser: 64 values of at most 255, in natural order.  0: a column is beyond FF_COLUMN_MOST. */
    int (*transform)(int16_t *const blocks[4], const int16_t *quantiser, uint8_t *to, int64_t stride);

    /* The rounded means of squares of 2 x 2 pixels, of 8 rows of 32 bytes without gaps: 4 rows of 16 bytes. */
    void (*halve)(const uint8_t *pixels, uint8_t *to, int64_t stride);

    /* n samples to 2 n: each is 3/4 itself and 1/4 its neighbour.  from[-1] and from[n] are those of the first and of the
     * last one: at the edge of a picture, their own copies. */
    void (*widen)(uint8_t *to, const uint8_t *from, int64_t n);
    /* The same for the row that is 3/4 near and 1/4 far, rounded once. */
    void (*widen_between)(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n);
    /* n samples that are 3/4 near and 1/4 far; bias: 1 or 2 quarters are added before rounding down. */
    void (*between)(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n, int bias);

    /* n pixels of YCbCr to RGB.  Nothing is written behind them. */
    void (*rgb)(uint8_t *to, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int64_t n);
} ff_frame_loops;

extern const ff_frame_loops ff_frames_plain;
#if defined(__x86_64__)
extern const ff_frame_loops ff_frames_avx2, ff_frames_avx512;
#endif
#if defined(__aarch64__)
extern const ff_frame_loops ff_frames_neon;
#endif

#endif
