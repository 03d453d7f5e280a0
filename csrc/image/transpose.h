/* transpose: turn the rows of an RGB picture into its columns. */
#ifndef FF_TRANSPOSE_H
#define FF_TRANSPOSE_H

#include <stdint.h>

/* dst(x, y) = src(y, x): width x height pixels become height x width.  EXIF orientations 5 to 8 are this and mirrors,
 * which a resize does in passing. */
void ff_transpose(const uint8_t *src, int64_t width, int64_t height, int64_t stride, uint8_t *dst, int64_t dst_stride);

#endif
