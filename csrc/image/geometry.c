/* geometry: edit one side of the picture. */
#include "image/geometry.h"

#include <math.h>

#include "image/plan.h"
#include "jpeg/frame.h"

ff_side ff_side_whole(int64_t length)
{
    return (ff_side){
        .length = length, .filter = FF_NEAREST, .end = (double)length, .n = length, .count = length, .canvas = length,
    };
}

int ff_side_padded(const ff_side *s)
{
    return s->place != 0 || s->count != s->canvas;
}

int ff_side_untouched(const ff_side *s)
{
    return !s->resized && !ff_side_padded(s);
}

void ff_side_cut(ff_side *s, int64_t offset, int64_t length)
{
    ff_side piece = ff_side_whole(length);
    piece.at = s->at + (s->mirror ? s->length - offset - length : offset);
    piece.mirror = s->mirror;
    *s = piece;
}

void ff_side_crop(ff_side *s, int64_t offset, int64_t size)
{
    if (ff_side_untouched(s) && offset >= 0 && offset + size <= s->length) {
        ff_side_cut(s, offset, size);
        return;
    }
    if (s->flip)
        offset = s->canvas - offset - size;
    const int64_t low = s->place > offset ? s->place : offset;
    const int64_t end = s->place + s->count, stop = offset + size, high = end < stop ? end : stop;
    s->first += low - s->place;
    s->count = high > low ? high - low : 0;
    s->place = low - offset;
    s->canvas = size;
}

void ff_side_turn(ff_side *s)
{
    if (ff_side_untouched(s))
        s->mirror = !s->mirror;
    else
        s->flip = !s->flip;
}

void ff_side_resize(ff_side *s, double begin, double end, int64_t n, int64_t canvas, int32_t filter)
{
    s->resized = 1;
    s->filter = filter;
    s->begin = begin;
    s->end = end;
    s->n = n;
    s->first = 0;
    s->count = n;
    /* Centred; halves go to the even side, as Pillow's ImageOps.pad has it. */
    s->place = (int64_t)rint((double)(canvas - n) * 0.5);
    s->canvas = canvas;
}

ff_axis ff_side_axis(const ff_side *s, int64_t source_length, int denominator, int64_t *origin)
{
    ff_axis axis = {
        .length = s->length, .begin = s->begin, .end = s->end, .n = (int32_t)s->n, .first = (int32_t)s->first,
        .count = (int32_t)s->count, .filter = s->filter, .mirror = s->mirror, .flip = s->flip,
    };
    *origin = s->at;
    if (denominator > 1) {
        const double by = 1.0 / denominator; /* a power of two: exact */
        const int64_t frame = ff_jpeg_reduced(source_length, denominator), stop = s->at + s->length;
        const int64_t low = s->at / denominator;
        int64_t high = (stop + denominator - 1) / denominator;
        high = high < frame ? high : frame;
        axis.length = high - low;
        if (s->mirror) { /* the box counts from the far end */
            axis.begin = (double)high - ((double)stop - s->begin) * by;
            axis.end = (double)high - ((double)stop - s->end) * by;
        } else {
            axis.begin = ((double)s->at + s->begin) * by - (double)low;
            axis.end = ((double)s->at + s->end) * by - (double)low;
        }
        *origin = low;
    }
    return axis;
}
