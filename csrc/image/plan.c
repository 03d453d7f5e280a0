/* plan: what its numbers are called, and the checks that keep a damaged plan from doing harm. */
#include "image/plan.h"

#include "simd/dtype.h"

static const char *const LAYOUTS[] = {[FF_NHWC] = "NHWC", [FF_NCHW] = "NCHW"};
static const char *const FILTERS[] = {
    [FF_NEAREST] = "nearest", [FF_BOX] = "box",         [FF_BILINEAR] = "bilinear",
    [FF_BICUBIC] = "bicubic", [FF_LANCZOS] = "lanczos",
};
static const char *const FITS[] = {[FF_STRETCH] = "stretch", [FF_COVER] = "cover", [FF_CONTAIN] = "contain"};

#define COUNT(table) ((int32_t)(sizeof(table) / sizeof((table)[0])))

const char *ff_layout_name(int32_t layout)
{
    return layout >= 0 && layout < COUNT(LAYOUTS) ? LAYOUTS[layout] : NULL;
}

const char *ff_filter_name(int32_t filter)
{
    return filter >= 0 && filter < COUNT(FILTERS) ? FILTERS[filter] : NULL;
}

const char *ff_fit_name(int32_t fit)
{
    return fit >= 0 && fit < COUNT(FITS) ? FITS[fit] : NULL;
}

size_t ff_plan_row_bytes(const ff_plan *plan)
{
    if (ff_bad_size(plan->out_h, plan->out_w))
        return 0;
    return (size_t)plan->out_h * (size_t)plan->out_w * 3 * ff_dtype_bytes(plan->dtype);
}

int ff_bad_size(int64_t height, int64_t width)
{
    return height < 1 || width < 1 || height > 1 << 20 || width > 1 << 20;
}

int ff_plan_is_bad(const ff_plan *plan)
{
    return plan->n_ops < 0 || plan->n_ops > FF_MAX_OPS || ff_bad_size(plan->out_h, plan->out_w) ||
           ff_dtype_name(plan->dtype) == NULL || ff_layout_name(plan->layout) == NULL;
}
