/* fuzz: what the targets share: their entry, bytes taken one after the other, the end where something does not hold. */
#ifndef FF_FUZZ_H
#define FF_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    const uint8_t *data;
    size_t size;
} input;

/* The next byte, 0 behind the last one. */
static inline int take(input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

/* One of 0 .. most - 1. */
static inline int below(input *in, int most)
{
    return take(in) % most;
}

/* From low to high. */
static inline float between(input *in, float low, float high)
{
    return low + (high - low) * (float)take(in) / 255.0f;
}

static inline void *room(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL)
        abort();
    return memory;
}

#define HOLDS(condition, ...)             \
    do {                                  \
        if (!(condition)) {               \
            fprintf(stderr, "does not hold: %s: ", #condition); \
            fprintf(stderr, __VA_ARGS__); \
            fprintf(stderr, "\n");        \
            abort();                      \
        }                                 \
    } while (0)

#endif
