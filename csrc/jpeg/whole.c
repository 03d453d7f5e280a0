/* whole: all lines of a frame, and three channels of each. */
#include "jpeg/whole.h"

#include "jpeg/frame.h"

#define MAX_SCANS 100

/* Grey to three equal channels, in place. */
static void triple(uint8_t *line, int64_t n)
{
    for (int64_t i = n - 1; i >= 0; i--)
        line[3 * i] = line[3 * i + 1] = line[3 * i + 2] = line[i];
}

static int lines(ff_jpeg *j, int64_t height, uint8_t *rgb, size_t stride, char err[FF_ERR_LEN])
{
    const int at_once = ff_jpeg_lines_at_once(j);
    for (int64_t y = 0; y < height;) {
        uint8_t *next[16];
        int n = 0;
        for (; n < at_once && n < 16 && y + n < height; n++)
            next[n] = rgb + (size_t)(y + n) * stride;
        const int got = ff_jpeg_lines(j, next, n, err);
        if (got < 0)
            return got;
        y += got;
    }
    return ff_jpeg_stop(j, err);
}

int ff_jpeg_whole(ff_jpeg *j, const uint8_t *data, size_t size, uint8_t *rgb, size_t capacity, char err[FF_ERR_LEN])
{
    int code = ff_jpeg_open(j, data, size, INT64_MAX, MAX_SCANS, err);
    if (code != FF_OK)
        return code;
    const ff_window all = {0, ff_jpeg_width(j), 0, ff_jpeg_height(j)};
    const size_t stride = (size_t)all.x1 * 3;
    if (capacity / stride < (size_t)all.y1) {
        ff_jpeg_abandon(j);
        return ff_fail(err, FF_E_LIMIT, "no room for %lld x %lld pixels", (long long)all.y1, (long long)all.x1);
    }
    code = ff_jpeg_start(j, 1, &all, err);
    if (code == FF_OK && ff_jpeg_line_bytes(j) > stride)
        code = ff_fail(err, FF_E_LIMIT, "lines of four channels have no room");
    if (code == FF_OK)
        code = lines(j, all.y1, rgb, stride, err);
    if (code != FF_OK)
        ff_jpeg_abandon(j);
    else if (ff_jpeg_channels(j) == 1)
        for (int64_t y = 0; y < all.y1; y++)
            triple(rgb + (size_t)y * stride, all.x1);
    return code;
}
