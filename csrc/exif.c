/* exif: find the orientation tag in untrusted bytes, and turn pixels upright. */
#include "exif.h"

#include <string.h>

#define TIFF_AT 6 /* after "Exif\0\0"; every offset inside counts from here */
#define TAG_ORIENTATION 0x0112u
#define TYPE_SHORT 3u
#define TYPE_LONG 4u
#define ENTRY_SIZE 12u /* tag 2, type 2, count 4, value 4 */

static uint32_t read16(const uint8_t *p, int big)
{
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t read32(const uint8_t *p, int big)
{
    return big ? read16(p, 1) << 16 | read16(p + 2, 1) : read16(p + 2, 0) << 16 | read16(p, 0);
}

int ff_exif_orientation(const uint8_t *data, size_t size)
{
    if (data == NULL || size < TIFF_AT + 8 || memcmp(data, "Exif\0\0", TIFF_AT) != 0)
        return 1;
    const uint8_t *tiff = data + TIFF_AT;
    const size_t length = size - TIFF_AT;
    const int big = tiff[0] == 'M';
    if (!(tiff[0] == tiff[1] && (tiff[0] == 'M' || tiff[0] == 'I')) || read16(tiff + 2, big) != 42)
        return 1;
    const size_t ifd0 = read32(tiff + 4, big);
    if (ifd0 > length - 2) /* length is at least 8 here */
        return 1;
    const uint8_t *entry = tiff + ifd0 + 2;
    size_t room = (length - ifd0 - 2) / ENTRY_SIZE; /* entries that are really there, whatever the count says */
    const size_t count = read16(tiff + ifd0, big);
    if (room > count)
        room = count;
    for (; room > 0; room--, entry += ENTRY_SIZE) {
        if (read16(entry, big) != TAG_ORIENTATION)
            continue;
        const uint32_t type = read16(entry + 2, big);
        uint32_t value = 0;
        if (read32(entry + 4, big) == 1 && type == TYPE_SHORT)
            value = read16(entry + 8, big);
        else if (read32(entry + 4, big) == 1 && type == TYPE_LONG) /* not allowed, but written by some cameras */
            value = read32(entry + 8, big);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

void ff_exif_upright(const uint8_t *src, int64_t width, int64_t height, int64_t stride, int orientation, uint8_t *dst,
                     int64_t dst_stride)
{
    /* Where the upright image's first pixel lies in src, and how far a step right or down goes there. */
    const int64_t right_edge = (width - 1) * 3, bottom = (height - 1) * stride;
    int64_t start = 0, right = 3, down = stride;
    switch (orientation) {
    case 2: start = right_edge, right = -3; break;
    case 3: start = right_edge + bottom, right = -3, down = -stride; break;
    case 4: start = bottom, down = -stride; break;
    case 5: right = stride, down = 3; break;
    case 6: start = bottom, right = -stride, down = 3; break;
    case 7: start = right_edge + bottom, right = -stride, down = -3; break;
    case 8: start = right_edge, right = stride, down = -3; break;
    default: break;
    }
    const int64_t out_w = orientation >= 5 && orientation <= 8 ? height : width;
    const int64_t out_h = orientation >= 5 && orientation <= 8 ? width : height;
    if (right == 3) {
        for (int64_t y = 0; y < out_h; y++)
            memcpy(dst + y * dst_stride, src + start + y * down, (size_t)out_w * 3);
        return;
    }
    /* Tiles, because a walk down a column of src touches a new cache line at every pixel: 21 pixels of a line are used
     * before it is evicted.  32 x 32 pixels of both images are 6 kB, well inside the first cache. */
    enum { TILE = 32 };
    for (int64_t y0 = 0; y0 < out_h; y0 += TILE) {
        const int64_t y1 = y0 + TILE < out_h ? y0 + TILE : out_h;
        for (int64_t x0 = 0; x0 < out_w; x0 += TILE) {
            const int64_t x1 = x0 + TILE < out_w ? x0 + TILE : out_w;
            for (int64_t y = y0; y < y1; y++) {
                const uint8_t *from = src + start + y * down + x0 * right;
                uint8_t *to = dst + y * dst_stride + x0 * 3;
                for (int64_t x = x0; x < x1; x++, from += right, to += 3) {
                    to[0] = from[0];
                    to[1] = from[1];
                    to[2] = from[2];
                }
            }
        }
    }
}
