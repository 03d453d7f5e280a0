/* header: what a JPEG's segments say before its first scan, read without a decompressor. */
#ifndef FF_HEADER_H
#define FF_HEADER_H

#include <stddef.h>
#include <stdint.h>

enum ff_app1 { FF_EXIF, FF_XMP };

/* The payload of the first APP1 segment of this kind, its name included; NULL where there is none before the first scan. */
const uint8_t *ff_jpeg_app1(const uint8_t *data, size_t size, enum ff_app1 kind, size_t *length);

/* Whether these first bytes of a larger file begin a JPEG: a header as far as it goes, and not stray bytes for half of it. */
int ff_jpeg_may_begin(const uint8_t *data, size_t size);

/* Width and height.  0, FF_E_NOT_JPEG, FF_E_TRUNCATED or FF_E_CORRUPT. */
int ff_jpeg_size(const uint8_t *data, size_t size, int64_t *width, int64_t *height);

#endif
