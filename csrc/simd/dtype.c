/* dtype: what a value of a stored row can be, and how it is made of a float in plain C. */
#include "simd/dtype.h"

#include <math.h>
#include <string.h>

/* Round to nearest even, overflow to infinity, as the hardware does; NaN stays NaN. */
static uint16_t half_of(float value)
{
    uint32_t x;
    memcpy(&x, &value, sizeof x);
    const uint32_t sign = x >> 16 & 0x8000u;
    x &= 0x7fffffffu;
    uint32_t h;
    if (x >= 0x47800000u) { /* 65536 and above, infinity, NaN */
        h = x > 0x7f800000u ? 0x7e00u | (x >> 13 & 0x3ffu) : 0x7c00u;
    } else if (x < 0x38800000u) { /* below the smallest normal half: let the float adder round at 2^-24 */
        float f;
        memcpy(&f, &x, sizeof f);
        f += 0.5f;
        memcpy(&h, &f, sizeof h);
        h -= 0x3f000000u;
    } else {
        h = x + 0xfffu + (x >> 13 & 1u);
        h = (h - 0x38000000u) >> 13;
    }
    return (uint16_t)(sign | h);
}

void ff_plain_to_f16(void *dst, const float *src, int64_t n)
{
    uint16_t *to = dst;
    for (int64_t i = 0; i < n; i++)
        to[i] = half_of(src[i]);
}

void ff_plain_to_u8(void *dst, const float *src, int64_t n)
{
    uint8_t *to = dst;
    for (int64_t i = 0; i < n; i++) {
        const float v = src[i] > 0.0f ? src[i] : 0.0f;
        to[i] = v < 255.0f ? (uint8_t)lrintf(v) : 255;
    }
}

static const struct dtype {
    const char *name;
    size_t bytes;
    ff_convert *convert;
} DTYPES[FF_DTYPES] = {
    [FF_U8] = {"uint8", 1, ff_plain_to_u8},
    [FF_F16] = {"float16", 2, ff_plain_to_f16},
    [FF_F32] = {"float32", 4, NULL},
};

const char *ff_dtype_name(int32_t dtype)
{
    return dtype >= 0 && dtype < FF_DTYPES ? DTYPES[dtype].name : NULL;
}

size_t ff_dtype_bytes(int32_t dtype)
{
    return dtype >= 0 && dtype < FF_DTYPES ? DTYPES[dtype].bytes : 0;
}

ff_convert *ff_dtype_convert(int32_t dtype)
{
    return DTYPES[dtype].convert;
}
