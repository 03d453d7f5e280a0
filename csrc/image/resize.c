/* resize: scale the whole frame to a size: stretched, covering it, or contained in it. */
#include <math.h>
#include <string.h>

#include "base/codes.h"
#include "image/transform.h"

struct resize {
    int32_t height, width;
    int32_t fit;    /* ff_fit */
    int32_t filter; /* ff_filter */
    float fill[3];  /* around a contained picture, 0..255 */
};

static int is_bad(const void *parameters)
{
    const struct resize *op = parameters;
    return ff_bad_size(op->height, op->width) || ff_filter_name(op->filter) == NULL;
}

static int apply(ff_picture *p, const void *parameters, uint32_t number)
{
    (void)number;
    const struct resize *op = parameters;
    const int64_t height = op->height, width = op->width;
    if (!ff_side_untouched(&p->x) || !ff_side_untouched(&p->y)) {
        const int code = ff_picture_materialise(p);
        if (code != FF_OK)
            return code;
    }
    const double have_w = (double)p->x.length, have_h = (double)p->y.length;
    const double have = have_w / have_h, want = (double)width / (double)height;
    double left = 0.0, top = 0.0, box_w = have_w, box_h = have_h;
    int64_t n_w = width, n_h = height;
    if (op->fit == FF_COVER) { /* the box of ImageOps.fit */
        if (have > want)
            box_w = want * have_h;
        else if (have < want)
            box_h = have_w / want;
        left = (have_w - box_w) * 0.5;
        top = (have_h - box_h) * 0.5;
    } else if (op->fit == FF_CONTAIN) { /* the sizes of ImageOps.contain */
        if (have > want)
            n_h = (int64_t)rint(have_h / have_w * (double)width);
        else if (have < want)
            n_w = (int64_t)rint(have_w / have_h * (double)height);
        n_h = n_h < 1 ? 1 : n_h > height ? height : n_h;
        n_w = n_w < 1 ? 1 : n_w > width ? width : n_w;
        memcpy(p->fill, op->fill, sizeof p->fill);
    }
    ff_side_resize(&p->x, left, left + box_w, n_w, width, op->filter);
    ff_side_resize(&p->y, top, top + box_h, n_h, height, op->filter);
    return FF_OK;
}

const ff_transform ff_resize = {"resize", sizeof(struct resize), 0, is_bad, apply};
