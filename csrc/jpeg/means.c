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

static inline uint8_t pixel(float level)
{
    const int whole = (int)level;
    return (uint8_t)(whole < 0 ? 0 : whole > 255 ? 255 : whole);
}

void ff_means_put(const ff_means *m, int16_t *coef, uint8_t *to, int64_t stride)
{
    if (m->keep == 1) {
        const int mean = (coef[0] * m->level + 1028) >> 3; /* 128 and a half, in eighths */
        to[0] = (uint8_t)(mean < 0 ? 0 : mean > 255 ? 255 : mean);
        coef[0] = 0;
        return;
    }
    const float level = (float)(coef[0] * m->level) * 0.125f + 128.5f;
    const float across = (float)coef[1] * m->across, down = (float)coef[8] * m->down, both = (float)coef[9] * m->both;
    to[0] = pixel(level + down + (across + both));
    if (m->parts_x > 1)
        to[1] = pixel(level + down - (across + both));
    if (m->parts_y > 1) {
        to[stride] = pixel(level - down + (across - both));
        if (m->parts_x > 1)
            to[stride + 1] = pixel(level - down - (across - both));
    }
    memset(coef, 0, 64 * sizeof *coef);
}
