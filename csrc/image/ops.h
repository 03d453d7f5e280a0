/* ops: the transforms that a plan can name. */
#ifndef FF_OPS_H
#define FF_OPS_H

#include "image/transform.h"

/* NULL where there is none of this kind: kinds count from 1. */
const ff_transform *ff_transform_of(int32_t kind);
const char *ff_op_name(int32_t kind);

/* Whether the parameters of one of a plan's transforms are of the wrong size, or would do harm. */
int ff_ops_are_bad(const ff_plan *plan);

/* The number of the last transform that does more than move pixels; -1 where all only do that. */
int32_t ff_ops_last_change(const ff_plan *plan);

#endif
