/* plan: what is done to every image, as Python packs it. */
#ifndef FF_PLAN_H
#define FF_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define FF_MAX_OPS 16

enum ff_layout { FF_NHWC = 0, FF_NCHW = 1 };
enum ff_filter { FF_NEAREST = 0, FF_BOX = 1, FF_BILINEAR = 2, FF_BICUBIC = 3, FF_LANCZOS = 4 };
enum ff_fit { FF_STRETCH = 0, FF_COVER = 1, FF_CONTAIN = 2 };

#define FF_OP_BYTES 104

/* One transform: a row of the table in ops.c, and what that takes for its parameters. */
typedef struct ff_op {
    int32_t kind;
    int32_t size; /* of the parameters */
    _Alignas(8) uint8_t parameters[FF_OP_BYTES];
} ff_op;

typedef struct ff_plan {
    int32_t n_ops;
    int32_t out_h, out_w; /* every sample ends at this size */
    int32_t dtype; /* enum ff_dtype */
    int32_t layout;
    int32_t exact;  /* 1: never decode at a reduced scale */
    int32_t orient; /* 1: apply the EXIF orientation before the first op */
    int32_t max_scans;
    int64_t max_pixels, max_bytes;
    float scale[3], bias[3]; /* stored value = scale[c] * pixel (0..255) + bias[c]; dtype u8 has 1 and 0 */
    ff_op ops[FF_MAX_OPS];
} ff_plan;

/* The names by which Python asks for these numbers; NULL behind the last one. */
const char *ff_layout_name(int32_t layout);
const char *ff_filter_name(int32_t filter);
const char *ff_fit_name(int32_t fit);

/* Bytes of one row: out_h * out_w * 3 * size of dtype. */
size_t ff_plan_row_bytes(const ff_plan *plan);

/* Whether height x width is no size of a picture. */
int ff_bad_size(int64_t height, int64_t width);

/* Whether its numbers, those of its transforms aside, make no plan. */
int ff_plan_is_bad(const ff_plan *plan);

#endif
