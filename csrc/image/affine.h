/* affine: rotation, shift, shear and zoom of an 8-bit RGB image, by inverse mapping. */
#ifndef FF_AFFINE_H
#define FF_AFFINE_H

#include "image/image.h"

/* Draw one RandomAffine for an image of width x height; m maps output pixel (x, y) to the input:
 * x_in = m[0] x + m[1] y + m[2], y_in = m[3] x + m[4] y + m[5], in pixel indices (centres at whole numbers). */
void ff_affine_draw(const ff_op *op, const ff_key *key, uint32_t op_number, int64_t width, int64_t height, double m[6]);

/* dst has the size of src and does not overlap it; strides in bytes. */
void ff_affine_rgb8(const uint8_t *src, int64_t src_stride, uint8_t *dst, int64_t dst_stride, int64_t width, int64_t height,
                    const double m[6], int filter, const float fill[3]);

#endif
