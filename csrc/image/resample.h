/* resample: antialiased resizing of rows as they arrive, each needed once and kept no longer than the filter is high.
 *
 *   lines --> ring of 8-bit rows --vertical--> 16-bit row --across--> store
 *             as many as the filter has taps
 *
 * An axis says how the pixels of one side of the result are made: a box of the source becomes n pixels, of which a run
 * is wanted.  The filter is scaled by the factor of reduction (antialiasing), cut off at the source's ends and
 * normalised: the geometry of Pillow's Image.resize, whose documentation describes it.
 */
#ifndef FF_RESAMPLE_H
#define FF_RESAMPLE_H

#include "base/buffer.h"
#include "base/codes.h"
#include "image/store.h"
#include "simd/loops.h"

typedef struct ff_axis {
    int64_t length;         /* pixels that the source has; nothing outside exists */
    double begin, end;      /* the box, in pixels of the source */
    int32_t n;              /* pixels that the box becomes */
    int32_t first, count;   /* the run of them that is wanted */
    int32_t filter;         /* ff_filter */
    int32_t mirror;         /* the source is turned round before, */
    int32_t flip;           /* the result afterwards; begin, end and first count as if neither were */
} ff_axis;

typedef struct ff_tap_table {
    ff_axis axis;
    int wide;
    ff_taps taps;
    int32_t reversed; /* taps are kept in the order of the source: pixel i of the result is taps' count - 1 - i */
    int64_t low, high; /* source pixels low..high-1 are used */
    ff_buffer memory;
} ff_tap_table;

#define FF_TABLES 8 /* tables kept for each axis: photographs come in few sizes */

typedef struct ff_resampler {
    ff_tap_table x[FF_TABLES], y[FF_TABLES];
    unsigned next_x, next_y;
    ff_buffer ring, row, pointers;
} ff_resampler;

void ff_resampler_free(ff_resampler *r);

/* The table for an axis, of the horizontal kind (wide) or the vertical one; valid until the FF_TABLES-th call after
 * this one.  NULL: no memory, or an axis too long. */
const ff_tap_table *ff_taps_for(ff_resampler *r, const ff_axis *axis, int wide);

/* Where rows come from: memory, or a decoder that gives them one after the other. */
typedef struct ff_lines {
    int channels;        /* 1 or 3 */
    int64_t left;        /* source column of a row's first pixel */
    const uint8_t *base; /* source row 0 in memory; NULL: read gives row y->low first */
    int64_t stride;
    int (*read)(void *from, uint8_t **lines, int n, char err[FF_ERR_LEN]); /* rows read, or a negative code */
    void *from;
    size_t line_bytes; /* that read may write to a line */
    int at_once;       /* rows that read gives at its best */
} ff_lines;

/* Resample rows into a store whose window has y's count of rows and x's count of columns. */
int ff_resample(ff_resampler *r, const ff_loops *loops, const ff_lines *lines, const ff_tap_table *x, const ff_tap_table *y,
                const ff_store *store, char err[FF_ERR_LEN]);

#endif
