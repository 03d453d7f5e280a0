/* header: what a JPEG's segments say before its first scan, read without a decompressor. */
#ifndef FF_HEADER_H
#define FF_HEADER_H

#include <stddef.h>
#include <stdint.h>

/* The APP1 segment that begins with "Exif", NULL where there is none before the first scan. */
const uint8_t *ff_jpeg_exif(const uint8_t *data, size_t size, size_t *length);

/* Whether these first bytes of a larger file begin a JPEG: a header as far as it goes, and not stray bytes for half of it. */
int ff_jpeg_may_begin(const uint8_t *data, size_t size);

/* Width and height.  0, FF_E_NOT_JPEG, FF_E_TRUNCATED or FF_E_CORRUPT. */
int ff_jpeg_size(const uint8_t *data, size_t size, int64_t *width, int64_t *height);

#endif
