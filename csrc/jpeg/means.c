/* means: the means of a block's parts. */
#include "jpeg/means.h"

#include <string.h>

/* The mean of the first half of a block's wave of frequency 1, as the inverse transform scales it: (cos(pi/16) + cos(3 pi/16)
 * + cos(5 pi/16) + cos(7 pi/16)) / 8; of the other half, the same below zero.  And of that of frequency 0: sqrt(1/8). */
#define HALF_WAVE 0.3203644309676883
#define LEVEL 0.3535533905932738

void ff_means_make(ff_means *m, int parts_x, int parts_y, const int16_t *quantiser)
{
    m->parts_x = parts_x;
    m->parts_y = parts_y;
    m->keep = parts_x == 1 && parts_y == 1 ? 1 : 5; /* as far as frequency (1, 1) */
    m->level = quantiser[0];
    m->across = parts_x == 1 ? 0.0f : (float)(quantiser[1] * LEVEL * HALF_WAVE);
    m->down = parts_y == 1 ? 0.0f : (float)(quantiser[8] * LEVEL * HALF_WAVE);
    m->both = parts_x == 1 || parts_y == 1 ? 0.0f : (float)(quantiser[9] * HALF_WAVE * HALF_WAVE);
}

typedef float four __attribute__((vector_size(16))); /* one of each block, on any machine */
typedef int32_t four_ints __attribute__((vector_size(16)));

static inline four of_each(int16_t *const blocks[4], int at)
{
    const four_ints v = {blocks[0][at], blocks[1][at], blocks[2][at], blocks[3][at]};
    return __builtin_convertvector(v, four);
}

/* Whole numbers from 0 to 255, without a branch: what lies outside is as random as a picture. */
static inline four_ints levels(four v)
{
    four_ints whole = __builtin_convertvector(v, four_ints);
    whole &= whole > 0;
    const four_ints above = whole > 255;
    return (whole & ~above) | (above & 255);
}

/* A row of every block: its left pixels, and where there are two, its right ones. */
static inline void put_row(uint8_t *to, int wide, four left, four right)
{
    const four_ints l = levels(left), r = levels(right);
    for (int k = 0; k < 4; k++) {
        to[wide * k] = (uint8_t)l[k];
        if (wide == 2)
            to[2 * k + 1] = (uint8_t)r[k];
    }
}

void ff_means_put(const ff_means *m, int16_t *const blocks[4], uint8_t *to, int64_t stride)
{
    const four level = of_each(blocks, 0) * ((float)m->level * 0.125f) + 128.5f;
    if (m->keep == 1) {
        put_row(to, 1, level, level);
        for (int k = 0; k < 4; k++)
            blocks[k][0] = 0;
        return;
    }
    const four across = of_each(blocks, 1) * m->across, down = of_each(blocks, 8) * m->down;
    const four both = of_each(blocks, 9) * m->both;
    if (m->parts_x == 2)
        put_row(to, 2, level + down + (across + both), level + down - (across + both));
    else
        put_row(to, 1, level + down, level + down);
    if (m->parts_y == 2 && m->parts_x == 2)
        put_row(to + stride, 2, level - down + (across - both), level - down - (across - both));
    else if (m->parts_y == 2)
        put_row(to + stride, 1, level - down, level - down);
    for (int k = 0; k < 4; k++)
        memset(blocks[k], 0, 64 * sizeof *blocks[k]);
}
