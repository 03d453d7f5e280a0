/* lowpass: a baseline JPEG at 1/4 or 1/8, from the low frequencies of its blocks; the rest is stepped over, not decoded.
 *
 * A frame that is reduced so far is limited by entropy decoding, and most of that is spent on coefficients that the
 * reduced frame hardly shows.  Here a table steps over several of them at once.  What comes out is the mean of each
 * square of 4 x 4 or 8 x 8 pixels, of the frequencies kept, in the same geometry as libjpeg's reduced frames.
 *
 * Only what is plain is taken on: baseline, Huffman, one scan, grey or YCbCr, usual sampling.  On anything unexpected in
 * the data ff_lowpass_lines gives up, and its caller goes on with libjpeg, which then says what is wrong.
 */
#ifndef FF_LOWPASS_H
#define FF_LOWPASS_H

#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

#include "jpeg/frame.h"

typedef struct ff_lowpass ff_lowpass;

ff_lowpass *ff_lowpass_new(void);
void ff_lowpass_free(ff_lowpass *l);

/* Whether a JPEG whose header c has read is of the plain kind. */
int ff_lowpass_takes(const struct jpeg_decompress_struct *c);

/* c has read the header of a JPEG whose scan begins at its source's next byte.  1: ready to give lines from row
 * window->y0 on, whole lines; 0: not one of those. */
int ff_lowpass_begin(ff_lowpass *l, const struct jpeg_decompress_struct *c, int denominator, const ff_window *window);

/* The next lines, at most n: how many, or 0: gave up. */
int ff_lowpass_lines(ff_lowpass *l, uint8_t **lines, int n);

int ff_lowpass_lines_at_once(const ff_lowpass *l);

/* After the last line of the frame: 1 where the end marker follows, at most with restarts and stray bytes before it. */
int ff_lowpass_ended_well(ff_lowpass *l);

#endif
