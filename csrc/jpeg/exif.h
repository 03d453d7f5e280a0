/* exif: the orientation tag of a JPEG's APP1 segment, and the transposition that half of its values need. */
#ifndef FF_EXIF_H
#define FF_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* data: the APP1 payload, beginning with "Exif\0\0".  1..8, or 1 where there is none or it is malformed. */
int ff_exif_orientation(const uint8_t *data, size_t size);

/* dst(x, y) = src(y, x): width x height pixels become height x width.  Orientations 5 to 8 are this and mirrors, which
 * a resize does in passing. */
void ff_exif_transpose(const uint8_t *src, int64_t width, int64_t height, int64_t stride, uint8_t *dst,
                       int64_t dst_stride);

#endif
