/* geometry: one side of the picture, as what has been done to the source so far; arithmetic only.
 *
 *   source --cut--> piece --mirror--> mirrored --resize--> n pixels --window--> kept --place--> canvas --flip--> side
 *
 * A transform edits the two sides of a picture, and one pass then does all of it.
 */
#ifndef FF_GEOMETRY_H
#define FF_GEOMETRY_H

#include <stdint.h>

#include "image/taps.h"

typedef struct ff_side {
    int64_t at, length;    /* the piece cut out of the source */
    int mirror;            /* the piece is read backwards */
    int resized;           /* where not, n is length and the box is all of it */
    int32_t filter;
    double begin, end;     /* the box of the piece (as mirrored) that becomes n pixels */
    int64_t n;
    int64_t first, count;  /* those of the n that are kept */
    int64_t place, canvas; /* where they lie, and in what length */
    int flip;              /* the canvas is written backwards */
} ff_side;

/* A side of length pixels, as it is. */
ff_side ff_side_whole(int64_t length);

/* Whether the canvas has a border; whether there is neither a border nor a resize. */
int ff_side_padded(const ff_side *s);
int ff_side_untouched(const ff_side *s);

/* Of an untouched side, keep offset..offset + length - 1. */
void ff_side_cut(ff_side *s, int64_t offset, int64_t length);

/* Keep offset..offset + size - 1 of the canvas; it may reach beyond it. */
void ff_side_crop(ff_side *s, int64_t offset, int64_t size);

void ff_side_turn(ff_side *s);

/* Of an untouched side, make n pixels of begin..end, in the middle of a canvas. */
void ff_side_resize(ff_side *s, double begin, double end, int64_t n, int64_t canvas, int32_t filter);

/* The side as an axis of the source decoded at 1/denominator; *origin is the source pixel that axis counts from. */
ff_axis ff_side_axis(const ff_side *s, int64_t source_length, int denominator, int64_t *origin);

#endif
