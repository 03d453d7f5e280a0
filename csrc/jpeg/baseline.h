/* baseline: the pixels of a baseline JPEG: in full the same as libjpeg-turbo's, in less time; at 1/2, 1/4 and 1/8 the means of
 * squares of pixels, in the geometry of its reduced frames.
 *
 * Only what is plain is taken on: Huffman codes of 8-bit samples, one scan, grey or YCbCr, usual sampling.  On anything
 * unexpected in the data ff_baseline_lines gives up, and its caller goes on with libjpeg, which then says what is wrong.
 */
#ifndef FF_BASELINE_H
#define FF_BASELINE_H

#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

#include "jpeg/frame.h"
#include "simd/frames.h"

typedef struct ff_baseline ff_baseline;

ff_baseline *ff_baseline_new(void); /* NULL: no memory */
void ff_baseline_free(ff_baseline *d);

/* Whether samples are coded as blocks of 8 x 8: libjpeg-turbo 3 also reads lossless JPEGs, which it cannot cut or reduce. */
static inline int ff_jpeg_has_blocks(const struct jpeg_decompress_struct *c)
{
#if JPEG_LIB_VERSION >= 70
    return c->min_DCT_h_scaled_size == DCTSIZE && c->min_DCT_v_scaled_size == DCTSIZE;
#else
    return c->min_DCT_scaled_size == DCTSIZE;
#endif
}

/* Whether a JPEG whose header c has read is of the plain kind. */
int ff_baseline_takes(const struct jpeg_decompress_struct *c);

/* c has read the header of a JPEG whose scan begins at its source's next byte.  1: ready to give lines of the frame at
 * 1/denominator from row window->y0 on, of the columns that the window needs; 0: not one of those, or no memory. */
int ff_baseline_begin(ff_baseline *d, const ff_frame_loops *loops, const struct jpeg_decompress_struct *c, int denominator,
                      const ff_window *window);

int64_t ff_baseline_left(const ff_baseline *d);   /* the column that a line begins with, at most x0 */
int64_t ff_baseline_pixels(const ff_baseline *d); /* in a line, to x1 at least */

/* The next line.  1, or 0: gave up. */
int ff_baseline_line(ff_baseline *d, uint8_t *line);

/* After the last line of the frame: 1 where the end marker follows, at most with restarts and stray bytes before it. */
int ff_baseline_ended_well(const ff_baseline *d);

#endif
