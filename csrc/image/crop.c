/* crop: cut out the middle, or a random part that is scaled to a size.
 *
 * Attempt a of 10 at a random part draws 4a (area), 4a + 1 (log of the ratio), 4a + 2 (top) and 4a + 3 (left).
 */
#include <math.h>
#include <string.h>

#include "base/codes.h"
#include "image/transform.h"
#include "random/philox.h"

#define CROP_ATTEMPTS 10

struct center_crop { /* zeros where the picture is smaller */
    int32_t height, width;
};

struct random_resized_crop {
    int32_t height, width;
    int32_t filter;           /* ff_filter */
    float scale[2], ratio[2]; /* ranges: of the area, as a fraction of the picture's; of width / height */
};

static int bad_center_crop(const void *parameters)
{
    const struct center_crop *op = parameters;
    return ff_bad_size(op->height, op->width);
}

static int bad_random_resized_crop(const void *parameters)
{
    const struct random_resized_crop *op = parameters;
    return ff_bad_size(op->height, op->width) || ff_filter_name(op->filter) == NULL ||
           !(op->ratio[0] > 0.0f && op->ratio[1] >= op->ratio[0]);
}

static int center_crop(ff_picture *p, const void *parameters, uint32_t number)
{
    (void)number;
    const struct center_crop *op = parameters;
    const int64_t height = op->height, width = op->width;
    const int grows = width > p->x.canvas || height > p->y.canvas;
    const int filled = p->fill[0] > 0.0f || p->fill[1] > 0.0f || p->fill[2] > 0.0f;
    if (grows && filled && (ff_side_padded(&p->x) || ff_side_padded(&p->y))) { /* two borders of two colours */
        const int code = ff_picture_materialise(p);
        if (code != FF_OK)
            return code;
    }
    if (grows)
        memset(p->fill, 0, sizeof p->fill);
    ff_side *sides[2] = {&p->x, &p->y};
    const int64_t sizes[2] = {width, height};
    for (int k = 0; k < 2; k++) {
        /* Centred as torchvision has it: what is missing is put on, the smaller half first; what is too much is taken
         * off, halves going to the even side. */
        const int64_t extra = sides[k]->canvas - sizes[k];
        ff_side_crop(sides[k], extra < 0 ? -(-extra / 2) : (int64_t)rint((double)extra * 0.5), sizes[k]);
    }
    return FF_OK;
}

static double between(double low, double high, double u)
{
    return low + (high - low) * u;
}

static int random_resized_crop(ff_picture *p, const void *parameters, uint32_t number)
{
    const struct random_resized_crop *op = parameters;
    if (!ff_side_untouched(&p->x) || !ff_side_untouched(&p->y)) {
        const int code = ff_picture_materialise(p);
        if (code != FF_OK)
            return code;
    }
    const int64_t width = p->x.length, height = p->y.length;
    const double area = (double)width * (double)height;
    const double ratio_low = (double)op->ratio[0], ratio_high = (double)op->ratio[1];
    int64_t crop_w = 0, crop_h = 0, left = 0, top = 0;
    int found = 0;
    for (uint32_t a = 0; a < CROP_ATTEMPTS && !found; a++) {
        const double share = between((double)op->scale[0], (double)op->scale[1], ff_uniform(p->key, number, 4 * a));
        const double target = area * share;
        const double ratio = exp(between(log(ratio_low), log(ratio_high), ff_uniform(p->key, number, 4 * a + 1)));
        const double draft_w = rint(sqrt(target * ratio)), draft_h = rint(sqrt(target / ratio));
        if (draft_w >= 1.0 && draft_w <= (double)width && draft_h >= 1.0 && draft_h <= (double)height) {
            crop_w = (int64_t)draft_w;
            crop_h = (int64_t)draft_h;
            top = (int64_t)(ff_uniform(p->key, number, 4 * a + 2) * (double)(height - crop_h + 1));
            left = (int64_t)(ff_uniform(p->key, number, 4 * a + 3) * (double)(width - crop_w + 1));
            found = 1;
        }
    }
    if (!found) { /* the largest centred piece whose ratio is allowed */
        const double ratio = (double)width / (double)height;
        crop_w = width;
        crop_h = height;
        if (ratio < ratio_low)
            crop_h = (int64_t)rint((double)width / ratio_low);
        else if (ratio > ratio_high)
            crop_w = (int64_t)rint((double)height * ratio_high);
        crop_w = crop_w < 1 ? 1 : crop_w > width ? width : crop_w;
        crop_h = crop_h < 1 ? 1 : crop_h > height ? height : crop_h;
        top = (height - crop_h) / 2;
        left = (width - crop_w) / 2;
    }
    ff_side_cut(&p->x, left, crop_w);
    ff_side_cut(&p->y, top, crop_h);
    ff_side_resize(&p->x, 0.0, (double)crop_w, op->width, op->width, op->filter);
    ff_side_resize(&p->y, 0.0, (double)crop_h, op->height, op->height, op->filter);
    return FF_OK;
}

const ff_transform ff_center_crop = {"center_crop", sizeof(struct center_crop), 0, bad_center_crop, center_crop};
const ff_transform ff_random_resized_crop = {
    "random_resized_crop", sizeof(struct random_resized_crop), 0, bad_random_resized_crop, random_resized_crop,
};
