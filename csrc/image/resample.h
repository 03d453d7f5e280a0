/* resample: antialiased resizing of rows as they arrive, each needed once and kept no longer than the filter is high.
 *
 *   lines --> ring of 8-bit rows --vertical--> 16-bit row --across--> store
 *             as many as the filter has taps
 */
#ifndef FF_RESAMPLE_H
#define FF_RESAMPLE_H

#include "base/buffer.h"
#include "base/codes.h"
#include "image/store.h"
#include "image/taps.h"
#include "simd/loops.h"

typedef struct ff_resampler {
    ff_tap_tables x, y;
    ff_buffer ring, row, pointers;
} ff_resampler;

void ff_resampler_free(ff_resampler *r);

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
