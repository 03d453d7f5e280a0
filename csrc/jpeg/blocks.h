/* blocks: entropy decoding of the blocks of a baseline scan. */
#ifndef FF_BLOCKS_H
#define FF_BLOCKS_H

#include <stdint.h>

#include "jpeg/codes.h"
#include "jpeg/scan.h"

/* Coefficients in natural order, not yet dequantised; the first is the difference to the level of the block before.
 * Behind them lies what nobody reads. */
typedef struct ff_block {
    _Alignas(32) int16_t coef[80];
} ff_block;

/* Read n blocks, at most FF_STRIP, with the codes that are listed for each; their coefficients must be zero.  0: there is
 * a code that no baseline JPEG has.  The caller asks ff_scan_overran. */
int ff_blocks_read(ff_scan *s, int bmi2, ff_block *blocks, const ff_codes *const *codes, int n);

/* The same, but of each block only the first coefficients of the zigzag are sure to be there, as many as are listed for it;
 * most of what follows is stepped over, several symbols at a time. */
int ff_blocks_read_first(ff_scan *s, int bmi2, ff_block *blocks, const ff_codes *const *codes, const uint8_t *keep, int n);

#endif
