/* jpeg: JPEG bytes to lines of 8-bit grey or RGB, as few of them as are wanted; our own reader of what is plain, and
 * libjpeg-turbo behind it. */
#ifndef FF_JPEG_H
#define FF_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/codes.h"
#include "jpeg/frame.h"

typedef struct ff_jpeg ff_jpeg; /* libjpeg, image after image */

ff_jpeg *ff_jpeg_new(void); /* NULL: no memory */
void ff_jpeg_free(ff_jpeg *j);

/* Read the header, and look for the end marker; the limits are checked before anything is allocated for the pixels.
 * data must stay as it is until ff_jpeg_stop.  On failure the decompressor is ready for the next image, here and below. */
int ff_jpeg_open(ff_jpeg *j, const uint8_t *data, size_t size, int64_t max_pixels, int max_scans, char err[FF_ERR_LEN]);
int64_t ff_jpeg_width(const ff_jpeg *j);
int64_t ff_jpeg_height(const ff_jpeg *j);
int ff_jpeg_channels(const ff_jpeg *j); /* of a decoded line: 1 or 3 */

/* Whether a frame decoded at 1/denominator has all the detail, of colour too, that it has room for. */
int ff_jpeg_reduces_well(const ff_jpeg *j, int denominator);

/* Begin decoding at 1/denominator (1, 2, 4 or 8).  The pixels inside the window come out exactly as in a decode of the
 * whole frame (but, at a reduced scale, where the frame has coefficients that no picture has: those that lie in the window
 * decide who decodes it); lines are wider than the window, since the decoder can only cut between its blocks. */
int ff_jpeg_start(ff_jpeg *j, int denominator, const ff_window *window, char err[FF_ERR_LEN]);
int64_t ff_jpeg_left(const ff_jpeg *j);       /* the column that a line begins with, at most x0 */
int64_t ff_jpeg_line_pixels(const ff_jpeg *j); /* pixels in a line */
size_t ff_jpeg_line_bytes(const ff_jpeg *j);   /* what a line needs while it is decoded */
int ff_jpeg_lines_at_once(const ff_jpeg *j);   /* how many lines the decoder gives best */

/* The next lines, at most n, from row y0 on: how many were decoded, or a negative code.  A line that lies on a multiple
 * of 16 bytes is written past the caches by libjpeg-turbo's vector code: put those that are read soon elsewhere. */
int ff_jpeg_lines(ff_jpeg *j, uint8_t **lines, int n, char err[FF_ERR_LEN]);

/* Who gave the lines last: "baseline" or "libjpeg-turbo". */
const char *ff_jpeg_reader(const ff_jpeg *j);

/* Done with the image.  Where its last row was read, fails unless the end marker follows. */
int ff_jpeg_stop(ff_jpeg *j, char err[FF_ERR_LEN]);
/* The same after a failure elsewhere. */
void ff_jpeg_abandon(ff_jpeg *j);

#endif
