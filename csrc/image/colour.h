/* colour: brightness, contrast, saturation and hue; one 3x4 matrix wherever hue is not turned. */
#ifndef FF_COLOUR_H
#define FF_COLOUR_H

#include "image/image.h"

/* Mean of each channel, 0..255. */
void ff_channel_means(const uint8_t *rgb, int64_t stride, int64_t width, int64_t height, double mean[3]);

/* Draw one ColorJitter for an image whose channel means are mean (0..255).  Returns 1 and fills m, row-major 3x4, with
 * out[r] = m[4r] R + m[4r+1] G + m[4r+2] B + m[4r+3] when the drawn jitter is linear; 0 when it turns the hue. */
int ff_jitter_matrix(const ff_op *op, const ff_key *key, uint32_t op_number, const double mean[3], float m[12]);

/* Apply the drawn jitter, hue included, in place; results clamped to 0..255 and rounded. */
void ff_jitter_rgb8(const ff_op *op, const ff_key *key, uint32_t op_number, uint8_t *rgb, int64_t stride, int64_t width,
                    int64_t height);

#endif
