/* colour: a drawn ColorJitter as matrices on either side of an optional turn of the hue.
 *
 * Brightness, contrast and saturation are linear in the pixel, and contrast's mean grey follows from the channel means,
 * so every run of them is one 3x4 matrix and nothing is clipped inside a run.  (torchvision rounds and clips after each
 * of the four.)  Turning the hue is not linear: the pixels are rounded and clipped to 0..255 before and after it.
 */
#include "image/colour.h"

#include "simd/cpu.h"
#include "random/philox.h"

#include <string.h>

/* Weights of R, G and B in grey: ITU-R BT.601, as Pillow's mode L and torchvision. */
static const float GREY[3] = {0.299f, 0.587f, 0.114f};

enum { BRIGHTNESS = 0, CONTRAST = 1, SATURATION = 2, HUE = 3, ADJUSTMENTS = 4 };

typedef struct jitter {
    int order[ADJUSTMENTS];
    float factor[ADJUSTMENTS]; /* HUE: turns, -0.5..0.5 */
} jitter;

static int changes(const jitter *j, int adjustment)
{
    return adjustment == HUE ? j->factor[HUE] < 0.0f || j->factor[HUE] > 0.0f
                             : j->factor[adjustment] < 1.0f || j->factor[adjustment] > 1.0f;
}

/* Draw 0 is the order, draws 1 to 4 the factors, whether or not a range is a single value. */
static void draw(const ff_op *op, const ff_key *key, uint32_t op_number, jitter *j)
{
    int left[ADJUSTMENTS] = {BRIGHTNESS, CONTRAST, SATURATION, HUE};
    int rank = (int)(24.0 * ff_uniform(key, op_number, 0)); /* one of the 4! orders, in lexicographic order */
    int block = 6;
    for (int i = 0; i < ADJUSTMENTS; i++) {
        const int pick = rank / block;
        rank %= block;
        block /= i < 2 ? 3 - i : 1;
        j->order[i] = left[pick];
        memmove(left + pick, left + pick + 1, (size_t)(ADJUSTMENTS - 1 - pick) * sizeof left[0]);
    }
    for (int a = 0; a < ADJUSTMENTS; a++) {
        const double low = (double)op->f[2 * a], high = (double)op->f[2 * a + 1];
        j->factor[a] = (float)(low + (high - low) * ff_uniform(key, op_number, (uint32_t)(1 + a)));
    }
}

static void identity(float m[12])
{
    memset(m, 0, 12 * sizeof m[0]);
    m[0] = m[5] = m[10] = 1.0f;
}

/* m becomes "first m, then this adjustment"; mean: channel means of the pixels that m is applied to. */
static void compose(float m[12], const jitter *j, int adjustment, const double mean[3])
{
    const float factor = j->factor[adjustment], rest = 1.0f - factor;
    if (!changes(j, adjustment))
        return;
    float grey[4] = {0.0f, 0.0f, 0.0f, 0.0f}; /* grey of m's output as a row of its own */
    for (int k = 0; k < 4; k++)
        for (int c = 0; c < 3; c++)
            grey[k] += GREY[c] * m[4 * c + k];
    for (int k = 0; k < 12; k++)
        m[k] *= factor;
    if (adjustment == CONTRAST) {
        const double level = (double)grey[0] * mean[0] + (double)grey[1] * mean[1] + (double)grey[2] * mean[2]
                           + (double)grey[3];
        for (int c = 0; c < 3; c++)
            m[4 * c + 3] += rest * (float)level;
    } else if (adjustment == SATURATION) {
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 4; k++)
                m[4 * c + k] += rest * grey[k];
    }
}

int ff_jitter_matrix(const ff_op *op, const ff_key *key, uint32_t op_number, const double mean[3], float m[12])
{
    jitter j;
    draw(op, key, op_number, &j);
    if (changes(&j, HUE))
        return 0;
    identity(m);
    for (int i = 0; i < ADJUSTMENTS; i++)
        if (j.order[i] != HUE)
            compose(m, &j, j.order[i], mean);
    return 1;
}

void ff_channel_means(const uint8_t *rgb, int64_t stride, int64_t width, int64_t height, double mean[3])
{
    const ff_loops *loops = ff_loops_active();
    uint64_t sum[3] = {0, 0, 0};
    for (int64_t y = 0; y < height; y++)
        loops->sums(rgb + y * stride, width, sum);
    for (int c = 0; c < 3; c++)
        mean[c] = (double)sum[c] / ((double)width * (double)height);
}

void ff_jitter_rgb8(const ff_op *op, const ff_key *key, uint32_t op_number, uint8_t *rgb, int64_t stride, int64_t width,
                    int64_t height)
{
    jitter j;
    draw(op, key, op_number, &j);
    const ff_loops *loops = ff_loops_active();
    const float turn = j.factor[HUE] < 0.0f ? 1.0f + j.factor[HUE] : j.factor[HUE]; /* 0..1 */
    for (int i = 0; i < ADJUSTMENTS;) {
        if (j.order[i] == HUE) {
            if (changes(&j, HUE))
                for (int64_t y = 0; y < height; y++)
                    loops->hue(rgb + y * stride, width, 6.0f * turn);
            i++;
            continue;
        }
        /* A run of linear adjustments: one matrix, and the means only if contrast is among them. */
        float m[12];
        double mean[3] = {0.0, 0.0, 0.0};
        int any = 0, first = i;
        for (; i < ADJUSTMENTS && (j.order[i] != HUE || !changes(&j, HUE)); i++)
            if (j.order[i] != HUE && changes(&j, j.order[i])) {
                any = 1;
                if (j.order[i] == CONTRAST)
                    ff_channel_means(rgb, stride, width, height, mean);
            }
        if (!any)
            continue;
        identity(m);
        for (; first < i; first++)
            if (j.order[first] != HUE)
                compose(m, &j, j.order[first], mean);
        for (int64_t y = 0; y < height; y++)
            loops->matrix8(rgb + y * stride, width, m);
    }
}
