/* frame: the decoded frame, and the part of it that is wanted. */
#ifndef FF_FRAME_H
#define FF_FRAME_H

#include <stdint.h>

/* A window of the decoded frame: columns x0..x1-1 and rows y0..y1-1. */
typedef struct ff_window {
    int64_t x0, x1, y0, y1;
} ff_window;

/* Length of one side of the frame decoded at 1/denominator. */
static inline int64_t ff_jpeg_reduced(int64_t length, int denominator)
{
    return (length + denominator - 1) / denominator;
}

#endif
