/* exif: the orientation tag of a JPEG's APP1 segment. */
#ifndef FF_EXIF_H
#define FF_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* data: the APP1 payload, beginning with "Exif\0\0".  1..8, or 1 where there is none or it is malformed. */
int ff_exif_orientation(const uint8_t *data, size_t size);

#endif
