/* transform: what a transform is to the kernel: a name, the size of its parameters, and what it does to a picture. */
#ifndef FF_TRANSFORM_H
#define FF_TRANSFORM_H

#include "image/picture.h"

/* Random numbers: transform number k of the plan draws ff_uniform(p->key, k, draw).  Its file says which draw is for
 * what. */
typedef struct ff_transform {
    const char *name;
    size_t size;    /* of its parameters, a struct of numbers of four bytes; at most FF_OP_BYTES */
    int only_moves; /* pixels change places, and keep their values */
    int (*is_bad)(const void *parameters); /* whether these would do harm; NULL: none would */
    int (*apply)(ff_picture *p, const void *parameters, uint32_t number);
} ff_transform;

#endif
