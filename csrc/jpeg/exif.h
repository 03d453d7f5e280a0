/* exif: the orientation that a JPEG's APP1 segments give. */
#ifndef FF_EXIF_H
#define FF_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* data: the APP1 payload, beginning with "Exif\0\0".  1..8, 1 where the tag is malformed, or 0 where it is not there. */
int ff_exif_orientation(const uint8_t *data, size_t size);

/* data: an XMP packet.  1..8, or 0 where it names none. */
int ff_xmp_orientation(const uint8_t *data, size_t size);

/* Of a JPEG, as Pillow has it: XMP counts where Exif has no tag.  1..8. */
int ff_jpeg_orientation(const uint8_t *data, size_t size);

#endif
