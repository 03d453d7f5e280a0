/* key: what every random choice about one sample is a function of. */
#ifndef FF_KEY_H
#define FF_KEY_H

#include <stdint.h>

typedef struct ff_key {
    uint64_t seed, epoch, index;
} ff_key;

#endif
