/* flip: mirror left and right, or top and bottom, with a probability: where draw 0 is below it. */
#include "base/codes.h"
#include "image/transform.h"
#include "random/philox.h"

struct flip {
    float probability;
};

static int flip(ff_picture *p, ff_side *s, const struct flip *op, uint32_t number)
{
    if (ff_uniform(p->key, number, 0) < (double)op->probability)
        ff_side_turn(s);
    return FF_OK;
}

static int horizontal(ff_picture *p, const void *parameters, uint32_t number)
{
    return flip(p, &p->x, parameters, number);
}

static int vertical(ff_picture *p, const void *parameters, uint32_t number)
{
    return flip(p, &p->y, parameters, number);
}

const ff_transform ff_horizontal_flip = {"horizontal_flip", sizeof(struct flip), 1, NULL, horizontal};
const ff_transform ff_vertical_flip = {"vertical_flip", sizeof(struct flip), 1, NULL, vertical};
