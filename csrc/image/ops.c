/* ops: the table of transforms. */
#include "image/ops.h"

extern const ff_transform ff_resize, ff_center_crop, ff_random_resized_crop, ff_horizontal_flip, ff_vertical_flip,
    ff_affine, ff_color_jitter;

static const ff_transform *const TRANSFORMS[] = {
    &ff_resize,
    &ff_center_crop,
    &ff_random_resized_crop,
    &ff_horizontal_flip,
    &ff_vertical_flip,
    &ff_affine,
    &ff_color_jitter,
};

const ff_transform *ff_transform_of(int32_t kind)
{
    const int32_t count = (int32_t)(sizeof TRANSFORMS / sizeof TRANSFORMS[0]);
    return kind >= 1 && kind <= count ? TRANSFORMS[kind - 1] : NULL;
}

const char *ff_op_name(int32_t kind)
{
    const ff_transform *transform = ff_transform_of(kind);
    return transform == NULL ? NULL : transform->name;
}

int ff_ops_are_bad(const ff_plan *plan)
{
    for (int32_t k = 0; k < plan->n_ops; k++) {
        const ff_op *op = &plan->ops[k];
        const ff_transform *transform = ff_transform_of(op->kind);
        if (transform == NULL) /* the walk has a sentence for it */
            continue;
        if (op->size != (int32_t)transform->size || (transform->is_bad != NULL && transform->is_bad(op->parameters)))
            return 1;
    }
    return 0;
}

int32_t ff_ops_last_change(const ff_plan *plan)
{
    int32_t k = plan->n_ops - 1;
    for (; k >= 0; k--) {
        const ff_transform *transform = ff_transform_of(plan->ops[k].kind);
        if (transform == NULL || !transform->only_moves)
            break;
    }
    return k;
}
