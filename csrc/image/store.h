/* store: finished rows of pixels, normalised, into the caller's array: dtype, layout, borders. */
#ifndef FF_STORE_H
#define FF_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "simd/loops.h"

/* The picture takes a window of a canvas of height x width; the rest of the canvas is fill. */
typedef struct ff_store {
    const ff_loops *loops;
    void *target;
    int32_t height, width;       /* of the canvas */
    int32_t top, left;           /* of the window in it */
    int32_t n_rows, n_columns;   /* of the window */
    int32_t dtype, layout;
    float fill[3];               /* pixel value, 0..255 */
    float scale[3], bias[3];     /* stored = scale * pixel + bias */
    int colour;                  /* 1: pixels go through matrix first, and are clipped to 0..255 */
    float matrix[12];            /* row-major, 3x4 */
    int read_again;              /* 1: store through the caches: this core reads the target next */
    void *stage;                 /* ff_store_stage_bytes of scratch */
    /* from here on filled in by ff_store_begin */
    float combined[12], low[3], high[3];
    float blank[3]; /* fill as it is stored */
    float *pixels;
    uint8_t *packed;
} ff_store;

size_t ff_store_stage_bytes(int32_t width);

/* Make ready, and store what lies above and below the window. */
void ff_store_begin(ff_store *store);

/* Row y of the window from a row of 16-bit RGB pixels. */
void ff_store_row(const ff_store *store, int32_t y, const int16_t *row, const ff_taps *taps);

/* The last row is stored: other cores may be told. */
void ff_store_end(const ff_store *store);

#endif
