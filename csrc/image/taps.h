/* taps: how the pixels along one side of the result are made of the source's pixels.
 *
 * An axis says it in geometry: a box of the source becomes n pixels, of which a run is wanted.  The filter is scaled by
 * the factor of reduction (antialiasing), cut off at the source's ends and normalised: the geometry of Pillow's
 * Image.resize, whose documentation describes it.  A table of taps says it in numbers.
 */
#ifndef FF_TAPS_H
#define FF_TAPS_H

#include "base/buffer.h"
#include "simd/loops.h"

typedef struct ff_axis {
    int64_t length;         /* pixels that the source has; nothing outside exists */
    double begin, end;      /* the box, in pixels of the source */
    int32_t n;              /* pixels that the box becomes */
    int32_t first, count;   /* the run of them that is wanted */
    int32_t filter;         /* ff_filter */
    int32_t mirror;         /* read the source backwards */
    int32_t flip;           /* write the result backwards; begin, end and first ignore both */
} ff_axis;

typedef struct ff_tap_table {
    ff_axis axis;
    ff_taps taps;
    int32_t reversed; /* taps are kept in the order of the source: pixel i of the result is taps' count - 1 - i */
    int64_t low, high; /* source pixels low..high-1 are used */
    ff_buffer memory;
} ff_tap_table;

#define FF_TABLES 8 /* photographs come in few sizes */

typedef struct ff_tap_tables { /* the last ones of a side; all zeros: none */
    ff_tap_table table[FF_TABLES];
    unsigned next;
} ff_tap_tables;

void ff_taps_free(ff_tap_tables *tables);

/* The table for an axis, of the horizontal kind (wide) or the vertical one; valid until the FF_TABLES-th call after
 * this one.  NULL: no memory, or an axis too long. */
const ff_tap_table *ff_taps_for(ff_tap_tables *tables, const ff_axis *axis, int wide);

#endif
