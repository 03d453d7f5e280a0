/* colour: a drawn ColorJitter as matrices on either side of an optional turn of the hue.
 *
 * Brightness, contrast and saturation are linear in the pixel, and contrast's mean grey follows from the channel means,
 * so every run of them is one 3x4 matrix and nothing is clipped inside a run.  (torchvision rounds and clips after each
 * of the four.)  Turning the hue is not linear: the pixels are rounded and clipped to 0..255 before and after it.
 */
#include <string.h>

#include "base/codes.h"
#include "image/transform.h"
#include "random/philox.h"

struct color_jitter { /* ranges: factors, and turns of the colour circle from -0.5 to 0.5 */
    float brightness[2], contrast[2], saturation[2], hue[2];
};

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
static void draw(const struct color_jitter *op, const ff_key *key, uint32_t op_number, jitter *j)
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
    const float *const ranges[ADJUSTMENTS] = {op->brightness, op->contrast, op->saturation, op->hue};
    for (int a = 0; a < ADJUSTMENTS; a++) {
        const double low = (double)ranges[a][0], high = (double)ranges[a][1];
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

/* Draw one jitter for an image whose channel means are mean (0..255).  Returns 1 and fills m, row-major 3x4, with
 * out[r] = m[4r] R + m[4r+1] G + m[4r+2] B + m[4r+3] where the drawn jitter is linear; 0 where it turns the hue. */
static int matrix_of(const struct color_jitter *op, const ff_key *key, uint32_t op_number, const double mean[3],
                     float m[12])
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

/* Mean of each channel, 0..255. */
static void channel_means(const ff_picture *p, double mean[3])
{
    uint64_t sum[3] = {0, 0, 0};
    for (int64_t y = 0; y < p->height; y++)
        p->loops->sums(p->rgb + y * p->stride, p->width, sum);
    for (int c = 0; c < 3; c++)
        mean[c] = (double)sum[c] / ((double)p->width * (double)p->height);
}

/* The drawn jitter, hue included, in place: rgb are p's pixels, and ours to change. */
static void in_place(const ff_picture *p, const struct color_jitter *op, uint32_t number, uint8_t *rgb)
{
    jitter j;
    draw(op, p->key, number, &j);
    const float turn = j.factor[HUE] < 0.0f ? 1.0f + j.factor[HUE] : j.factor[HUE]; /* 0..1 */
    for (int i = 0; i < ADJUSTMENTS;) {
        if (j.order[i] == HUE) {
            if (changes(&j, HUE))
                for (int64_t y = 0; y < p->height; y++)
                    p->loops->hue(rgb + y * p->stride, p->width, 6.0f * turn);
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
                    channel_means(p, mean);
            }
        if (!any)
            continue;
        identity(m);
        for (; first < i; first++)
            if (j.order[first] != HUE)
                compose(m, &j, j.order[first], mean);
        for (int64_t y = 0; y < p->height; y++)
            p->loops->matrix8(rgb + y * p->stride, p->width, m);
    }
}

static int apply(ff_picture *p, const void *parameters, uint32_t number)
{
    const struct color_jitter *op = parameters;
    const float *contrast = op->contrast, *hue = op->hue;
    const int no_contrast = !(contrast[0] < 1.0f || contrast[0] > 1.0f || contrast[1] < 1.0f || contrast[1] > 1.0f);
    const int no_hue = !(hue[0] < 0.0f || hue[0] > 0.0f || hue[1] < 0.0f || hue[1] > 0.0f);
    if ((int32_t)number == p->last_change) {
        double mean[3] = {0.0, 0.0, 0.0}; /* only contrast looks at it */
        if (!no_contrast || !no_hue) {
            const int code = ff_picture_materialise(p);
            if (code != FF_OK)
                return code;
            channel_means(p, mean);
        }
        if (matrix_of(op, p->key, number, mean, p->matrix)) {
            p->colour = 1;
            return FF_OK;
        }
    }
    int code = ff_picture_materialise(p);
    if (code != FF_OK)
        return code;
    const ff_buffer *ours = p->im->pixels;
    if (p->rgb != ours[0].memory && p->rgb != ours[1].memory) { /* the caller's own: not ours to change */
        uint8_t *pixels = ff_picture_other(p, p->width, p->height);
        if (pixels == NULL)
            return ff_fail(p->err, FF_E_MEMORY, "no memory for a jitter");
        for (int64_t y = 0; y < p->height; y++)
            memcpy(pixels + y * p->width * 3, p->rgb + y * p->stride, (size_t)p->width * 3);
        ff_picture_go_on_from(p, pixels, p->width, p->height);
    }
    in_place(p, op, number, (uint8_t *)(uintptr_t)p->rgb);
    return FF_OK;
}

const ff_transform ff_color_jitter = {"color_jitter", sizeof(struct color_jitter), 0, NULL, apply};
