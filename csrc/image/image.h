/* image: one image, from encoded bytes or decoded pixels to one finished row of a batch.
 *
 *   bytes -> decode -> crop -> antialiased resize -> flip -> colour -> normalise -> dtype, layout -> row
 *
 * A plan says what is done to every image; the key (seed, epoch, index) decides every random choice, so the row
 * depends on nothing else: not on the worker, not on what was decoded before.  No Python here.
 */
#ifndef FF_IMAGE_H
#define FF_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/codes.h"
#include "base/key.h"

#define FF_MAX_OPS 16

enum ff_dtype { FF_U8 = 0, FF_F16 = 1, FF_F32 = 2 };
enum ff_layout { FF_NHWC = 0, FF_NCHW = 1 };
enum ff_filter { FF_NEAREST = 0, FF_BOX = 1, FF_BILINEAR = 2, FF_BICUBIC = 3, FF_LANCZOS = 4 };
enum ff_fit { FF_STRETCH = 0, FF_COVER = 1, FF_CONTAIN = 2 };

/* One transform.  f and i are read as the kind says; ranges are [low, high]. */
enum ff_op_kind {
    FF_OP_RESIZE = 1,              /* i: height, width, ff_fit, ff_filter; f[0..2]: fill (contain), 0..255 */
    FF_OP_CENTER_CROP = 2,         /* i: height, width; zeros where the image is smaller */
    FF_OP_RANDOM_RESIZED_CROP = 3, /* i: height, width, unused, ff_filter; f: scale range, ratio range */
    FF_OP_HFLIP = 4,               /* f[0]: probability */
    FF_OP_VFLIP = 5,               /* f[0]: probability */
    FF_OP_AFFINE = 6,              /* i[0]: ff_filter (nearest, bilinear); f: degrees range (0,1), translate fractions x, y
                                      (2,3), scale range (4,5), shear x range (6,7), shear y range (8,9), fill (10..12) */
    FF_OP_COLOR_JITTER = 7         /* f: brightness (0,1), contrast (2,3), saturation (4,5), hue (6,7) ranges */
};

typedef struct ff_op {
    int32_t kind;
    int32_t i[7];
    float f[16];
} ff_op;

typedef struct ff_plan {
    int32_t n_ops;
    int32_t out_h, out_w; /* every sample ends at this size */
    int32_t dtype, layout;
    int32_t exact;  /* 1: never decode at a reduced scale */
    int32_t orient; /* 1: apply the EXIF orientation before the first op */
    int32_t max_scans;
    int64_t max_pixels, max_bytes;
    float scale[3], bias[3]; /* stored value = scale[c] * pixel (0..255) + bias[c]; dtype u8 has 1 and 0 */
    ff_op ops[FF_MAX_OPS];
} ff_plan;

typedef struct ff_image ff_image; /* decoder state and scratch, kept from image to image; one a thread */

ff_image *ff_image_new(void); /* NULL: no memory */
void ff_image_free(ff_image *im);

/* Bytes of one row: out_h * out_w * 3 * size of dtype. */
size_t ff_plan_row_bytes(const ff_plan *plan);

int ff_image_encoded(ff_image *im, const ff_plan *plan, const uint8_t *data, size_t size, const ff_key *key, void *row,
                     char err[FF_ERR_LEN]);

/* The same from RGB pixels, 8 bits, stride in bytes (a frame that another decoder produced). */
int ff_image_pixels(ff_image *im, const ff_plan *plan, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride,
                    const ff_key *key, void *row, char err[FF_ERR_LEN]);

#endif
