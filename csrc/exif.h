/* exif: the orientation tag of a JPEG's APP1 segment, and turning an RGB image upright. */
#ifndef FF_EXIF_H
#define FF_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* data: the APP1 payload, beginning with "Exif\0\0".  1..8, or 1 where there is none or it is malformed. */
int ff_exif_orientation(const uint8_t *data, size_t size);

/* Turn src (width x height) upright into dst; orientation 5..8 swaps width and height. */
void ff_exif_upright(const uint8_t *src, int64_t width, int64_t height, int64_t stride, int orientation, uint8_t *dst,
                     int64_t dst_stride);

#endif
