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
#include "image/picture.h"
#include "image/plan.h"

int ff_image_encoded(ff_image *im, const ff_plan *plan, const uint8_t *data, size_t size, const ff_key *key, void *row,
                     char err[FF_ERR_LEN]);

/* The same from RGB pixels, 8 bits, stride in bytes (a frame that another decoder produced). */
int ff_image_pixels(ff_image *im, const ff_plan *plan, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride,
                    const ff_key *key, void *row, char err[FF_ERR_LEN]);

#endif
