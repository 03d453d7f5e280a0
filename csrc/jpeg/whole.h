/* whole: a whole frame to packed RGB as fastfeed decodes it, for the benchmark to put beside the floor. */
#ifndef FF_WHOLE_H
#define FF_WHOLE_H

#include <stddef.h>
#include <stdint.h>

#include "jpeg/jpeg.h"

/* capacity in bytes.  0 or a negative code. */
int ff_jpeg_whole(ff_jpeg *j, const uint8_t *data, size_t size, uint8_t *rgb, size_t capacity, char err[FF_ERR_LEN]);

#endif
