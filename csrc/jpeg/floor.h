/* floor: the benchmark's yardstick, libjpeg-turbo as anybody would call it. */
#ifndef FF_FLOOR_H
#define FF_FLOOR_H

#include <stddef.h>
#include <stdint.h>

/* A whole frame to packed RGB with libjpeg-turbo's defaults and nothing else.  capacity in bytes. */
int ff_jpeg_floor(const uint8_t *data, size_t size, uint8_t *rgb, size_t capacity);

const char *ff_jpeg_version(void);

#endif
