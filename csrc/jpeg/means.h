/* means: a block's pixels where it becomes one, two or four, from its first coefficients.
 *
 * A frame that is reduced so far is limited by entropy decoding, and most of that is spent on coefficients that the reduced
 * frame hardly shows: the mean of a half of a block knows nothing of frequency 2 or 4, and little of 3 and more.  So only
 * what comes first is read, and what comes out are the means of the parts of the block, of frequencies 0 and 1, in the
 * geometry of libjpeg's reduced frames.
 */
#ifndef FF_MEANS_H
#define FF_MEANS_H

#include <stdint.h>

#define FF_MEANS_PARTS 2 /* a block becomes at most 2 x 2 pixels */

typedef struct ff_means {
    int parts_x, parts_y;
    int keep; /* how many coefficients of the zigzag are wanted */
    int level;
    float across, down, both; /* what the frequencies (0, 1), (1, 0) and (1, 1) add to the first part */
} ff_means;

/* quantiser: in natural order. */
void ff_means_make(ff_means *m, int parts_x, int parts_y, const int16_t *quantiser);

/* Four blocks of coefficients in natural order to their pixels, side by side; then the coefficients are zero. */
void ff_means_put(const ff_means *m, int16_t *const blocks[4], uint8_t *to, int64_t stride);

#endif
