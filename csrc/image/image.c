/* image: walk the plan: each transform edits the picture so far, and the last pass makes the row. */
#include "image/image.h"

#include <string.h>

#include "image/ops.h"
#include "jpeg/exif.h"
#include "simd/cpu.h"

static int walk(ff_picture *p, void *row)
{
    const ff_plan *plan = p->plan;
    for (int32_t k = 0; k < plan->n_ops; k++) {
        const ff_transform *transform = ff_transform_of(plan->ops[k].kind);
        if (transform == NULL)
            return ff_fail(p->err, FF_E_PLAN, "the plan names a transform that this build does not know");
        const int code = transform->apply(p, plan->ops[k].parameters, (uint32_t)k);
        if (code != FF_OK)
            return code;
    }
    if (p->x.canvas != plan->out_w || p->y.canvas != plan->out_h)
        return ff_fail(p->err, FF_E_PLAN,
                       "the transforms give %lld x %lld pixels where %d x %d are wanted; give size= or end with a "
                       "transform that fixes the size",
                       (long long)p->y.canvas, (long long)p->x.canvas, (int)plan->out_h, (int)plan->out_w);
    if (p->transposed) {
        const int code = ff_picture_materialise(p);
        if (code != FF_OK)
            return code;
    }
    ff_store store = {.target = row, .dtype = plan->dtype, .layout = plan->layout, .colour = p->colour};
    memcpy(store.scale, plan->scale, sizeof store.scale);
    memcpy(store.bias, plan->bias, sizeof store.bias);
    memcpy(store.matrix, p->matrix, sizeof store.matrix);
    const int code = ff_picture_pass(p, &store);
    ff_store_end(&store);
    return code;
}

static int too_many_pixels(ff_picture *p)
{
    return ff_fail(p->err, FF_E_LIMIT, "%lld x %lld pixels are more than max_pixels = %lld; raise it if that is meant",
                   (long long)p->width, (long long)p->height, (long long)p->plan->max_pixels);
}

static ff_picture begin(ff_image *im, const ff_plan *plan, const ff_key *key, char err[FF_ERR_LEN])
{
    err[0] = '\0';
    return (ff_picture){.im = im, .plan = plan, .key = key, .loops = ff_loops_active(),
                        .last_change = ff_ops_last_change(plan), .err = err};
}

int ff_image_encoded(ff_image *im, const ff_plan *plan, const uint8_t *data, size_t size, const ff_key *key, void *row,
                     char err[FF_ERR_LEN])
{
    ff_picture p = begin(im, plan, key, err);
    if (ff_plan_is_bad(plan) || ff_ops_are_bad(plan))
        return ff_fail(err, FF_E_PLAN, "the plan is malformed");
    if (size > (uint64_t)(plan->max_bytes > 0 ? plan->max_bytes : 0))
        return ff_fail(err, FF_E_LIMIT, "%zu bytes are more than max_bytes = %lld; raise it if that is meant", size,
                       (long long)plan->max_bytes);
    int code = ff_jpeg_open(im->jpeg, data, size, plan->max_pixels, plan->max_scans, err);
    if (code != FF_OK)
        return code;
    p.encoded = 1;
    p.width = ff_jpeg_width(im->jpeg);
    p.height = ff_jpeg_height(im->jpeg);

    const int orientation = plan->orient ? ff_jpeg_orientation(data, size) : 1;
    /* How the upright picture's x and y run over the stored one: 5 to 8 along its columns and rows, and backwards where
     * the table says so. */
    static const uint8_t backwards[9][2] = {{0, 0}, {0, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 0}, {1, 0}, {1, 1}, {0, 1}};
    p.transposed = orientation >= 5;
    p.x = ff_side_whole(p.transposed ? p.height : p.width);
    p.y = ff_side_whole(p.transposed ? p.width : p.height);
    p.x.mirror = backwards[orientation][0];
    p.y.mirror = backwards[orientation][1];

    code = walk(&p, row);
    if (code != FF_OK)
        ff_jpeg_abandon(im->jpeg);
    return code;
}

int ff_image_pixels(ff_image *im, const ff_plan *plan, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride,
                    const ff_key *key, void *row, char err[FF_ERR_LEN])
{
    ff_picture p = begin(im, plan, key, err);
    if (ff_plan_is_bad(plan) || ff_ops_are_bad(plan))
        return ff_fail(err, FF_E_PLAN, "the plan is malformed");
    if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX || stride < 3 * width)
        return ff_fail(err, FF_E_PLAN, "a picture of no size, or rows that overlap");
    p.width = width;
    p.height = height;
    if (width > plan->max_pixels / height)
        return too_many_pixels(&p);
    ff_picture_go_on_from(&p, rgb, width, height);
    p.stride = stride;
    return walk(&p, row);
}
