/* dtype: what a value of a stored row can be.  A new one is a number here and a row in dtype.c. */
#ifndef FF_DTYPE_H
#define FF_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum ff_dtype { FF_U8, FF_F16, FF_F32, FF_DTYPES };

/* Make n values, rounded to nearest even and saturated, of n floats. */
typedef void ff_convert(void *dst, const float *src, int64_t n);

/* The name by which Python asks for it; NULL behind the last one. */
const char *ff_dtype_name(int32_t dtype);

/* Bytes of one value, at most 4. */
size_t ff_dtype_bytes(int32_t dtype);

/* Plain C that makes it; NULL: it is the float.  A variant of the loops may know a better way. */
ff_convert *ff_dtype_convert(int32_t dtype);

/* What variants leave their remainders to. */
ff_convert ff_plain_to_u8, ff_plain_to_f16;

#endif
