/* plan: the dtypes, and the checks that keep a damaged plan from doing harm. */
#include "image/plan.h"

static const size_t DTYPE_BYTES[] = {[FF_U8] = 1, [FF_F16] = 2, [FF_F32] = 4};
#define DTYPES ((int32_t)(sizeof DTYPE_BYTES / sizeof DTYPE_BYTES[0]))

size_t ff_dtype_bytes(int32_t dtype)
{
    return dtype >= 0 && dtype < DTYPES ? DTYPE_BYTES[dtype] : 0;
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

int ff_bad_filter(int32_t filter)
{
    return filter < FF_NEAREST || filter > FF_LANCZOS;
}

int ff_plan_is_bad(const ff_plan *plan)
{
    return plan->n_ops < 0 || plan->n_ops > FF_MAX_OPS || ff_bad_size(plan->out_h, plan->out_w) ||
           ff_dtype_bytes(plan->dtype) == 0 || plan->layout < FF_NHWC || plan->layout > FF_NCHW;
}
