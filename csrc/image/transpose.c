/* transpose: columns to rows, tile by tile. */
#include "image/transpose.h"

/* Tiles, because a walk down a column of src touches a new cache line at every pixel, and the 21 pixels of a line
 * should be used before it is evicted.  32 x 32 pixels of both images are 6 kB, well inside the first cache. */
#define TILE 32

void ff_transpose(const uint8_t *src, int64_t width, int64_t height, int64_t stride, uint8_t *dst, int64_t dst_stride)
{
    for (int64_t y0 = 0; y0 < width; y0 += TILE) {
        const int64_t y1 = y0 + TILE < width ? y0 + TILE : width;
        for (int64_t x0 = 0; x0 < height; x0 += TILE) {
            const int64_t x1 = x0 + TILE < height ? x0 + TILE : height;
            for (int64_t y = y0; y < y1; y++) {
                const uint8_t *from = src + x0 * stride + y * 3;
                uint8_t *to = dst + y * dst_stride + x0 * 3;
                for (int64_t x = x0; x < x1; x++, from += stride, to += 3) {
                    to[0] = from[0];
                    to[1] = from[1];
                    to[2] = from[2];
                }
            }
        }
    }
}
