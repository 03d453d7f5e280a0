/* taps: filters, and the tables of taps that they give for one axis. */
#include "image/taps.h"

#include <math.h>
#include <string.h>

#include "base/codes.h"
#include "image/plan.h"

#define PI 3.14159265358979323846

/* ---- filters: value at distance x from the centre, zero from the support on ---- */

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; /* half open: a pixel on the border belongs to one box */
}

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2. */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1.0)
        return (1.5 * x - 2.5) * x * x + 1.0;
    return x < 2.0 ? ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 : 0.0;
}

static double lanczos3(double x)
{
    if (x <= -3.0 || x >= 3.0)
        return 0.0;
    const double t = PI * x;
    return fabs(t) < 1e-12 ? 1.0 : 3.0 * sin(t) * sin(t / 3.0) / (t * t);
}

static const struct filter {
    double support;
    double (*value)(double x);
} FILTERS[] = {
    [FF_NEAREST] = {0.5, box},
    [FF_BOX] = {0.5, box},
    [FF_BILINEAR] = {1.0, triangle},
    [FF_BICUBIC] = {2.0, cubic},
    [FF_LANCZOS] = {3.0, lanczos3},
};

/* ---- tap tables ---- */

static int same_axis(const ff_axis *a, const ff_axis *b)
{
    return a->length == b->length && a->n == b->n && a->first == b->first && a->count == b->count &&
           a->filter == b->filter && a->mirror == b->mirror && a->flip == b->flip &&
           memcmp(&a->begin, &b->begin, sizeof a->begin) == 0 && memcmp(&a->end, &b->end, sizeof a->end) == 0;
}

/* Weights (doubles, not normalised) to fixed point, summing to exactly 1 << FF_COEF_BITS, so that a flat image stays
 * flat: each takes what the rounded running sum has grown by.  Zeros at both ends are dropped. */
static int32_t quantise(int16_t *coef, const double *weight, int32_t n, int64_t *start)
{
    double total = 0.0;
    for (int32_t i = 0; i < n; i++)
        total += weight[i];
    const double by = (double)(1 << FF_COEF_BITS) / total;
    double sum = 0.0;
    long before = 0;
    int32_t used = 0, end = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += weight[i] * by;
        const long now = lrint(sum);
        if (now != before || used > 0) {
            if (used == 0)
                *start += i;
            coef[used++] = (int16_t)(now - before);
            if (now != before)
                end = used;
        }
        before = now;
    }
    return end;
}

static int build(ff_tap_table *t, const ff_axis *axis, int wide)
{
    const struct filter *filter = &FILTERS[axis->filter];
    const int nearest = axis->filter == FF_NEAREST;
    const double scale = (axis->end - axis->begin) / axis->n;
    const double stretch = scale > 1.0 ? scale : 1.0, support = filter->support * stretch;
    if (axis->length < 1 || axis->length > INT32_MAX || axis->n < 1 || axis->count < 1 || !(support < INT32_MAX / 8))
        return FF_E_LIMIT;
    const int64_t most = nearest ? 1 : 2 * (int64_t)ceil(support) + 1;
    const int64_t bound = most < axis->length ? most : axis->length;
    const size_t width = (size_t)(bound + 1) & ~(size_t)1, count = ((size_t)axis->count + 3) & ~(size_t)3;

    /* One block: weights while building, then start, length, wide, coef. */
    const size_t each = 2 * sizeof(int32_t) + width * sizeof(int16_t) + (wide ? width / 2 * 4 * sizeof(int32_t) : 0);
    const size_t weights = ((size_t)most + 8) * sizeof(double);
    if (count > (SIZE_MAX / 4 - weights) / each)
        return FF_E_LIMIT;
    uint8_t *memory = ff_buffer_need(&t->memory, weights + count * each + 256);
    if (memory == NULL)
        return FF_E_MEMORY;
    double *weight = (double *)(void *)memory;
    memory += (weights + 63) & ~(size_t)63;
    t->taps.wide = wide ? (int32_t *)(void *)memory : NULL;
    memory += wide ? count * (width / 2 * 4 * sizeof(int32_t)) : 0;
    t->taps.start = (int32_t *)(void *)memory;
    t->taps.length = t->taps.start + count;
    t->taps.coef = (int16_t *)(void *)(t->taps.length + count);
    memset(t->taps.start, 0, count * (2 * sizeof(int32_t)));
    memset(t->taps.coef, 0, count * width * sizeof(int16_t));

    /* Pixels run from the source's first to its last; turning round once more reverses them. */
    t->reversed = axis->mirror != axis->flip;
    int32_t longest = 1;
    t->low = axis->length;
    t->high = 0;
    double place = axis->begin + scale * 0.5; /* nearest adds up, as Pillow does: ties fall the same way */
    if (nearest)
        for (int32_t i = 0; i < axis->first; i++)
            place += scale;
    for (int32_t i = 0; i < axis->count; i++) {
        const int32_t at = axis->mirror ? axis->count - 1 - i : i;
        int16_t *coef = t->taps.coef + (size_t)at * width;
        int64_t start;
        int32_t n = 1;
        if (nearest) {
            start = (int64_t)floor(place);
            start = start < 0 ? 0 : start >= axis->length ? axis->length - 1 : start;
            coef[0] = 1 << FF_COEF_BITS;
            place += scale;
        } else {
            const double centre = axis->begin + ((double)(axis->first + i) + 0.5) * scale;
            const double from = centre - support + 0.5, to = centre + support + 0.5;
            start = from > 0.0 ? (int64_t)from : 0;
            int64_t end = to < (double)axis->length ? (int64_t)to : axis->length;
            if (start >= axis->length)
                start = axis->length - 1;
            if (end <= start)
                end = start + 1;
            const double inverse = 1.0 / stretch;
            double total = 0.0;
            for (int64_t p = start; p < end; p++) {
                weight[p - start] = filter->value(((double)p - centre + 0.5) * inverse);
                total += weight[p - start];
            }
            if (!(total > 1e-9 || total < -1e-9)) { /* the box holds no pixel's centre: take the one it lies in */
                weight[0] = 1.0;
                end = start + 1;
            }
            n = quantise(coef, weight, (int32_t)(end - start), &start);
        }
        if (axis->mirror) {
            for (int32_t a = 0, b = n - 1; a < b; a++, b--) {
                const int16_t swap = coef[a];
                coef[a] = coef[b];
                coef[b] = swap;
            }
            start = axis->length - start - n;
        }
        t->taps.start[at] = (int32_t)start;
        t->taps.length[at] = n;
        longest = n > longest ? n : longest;
        t->low = start < t->low ? start : t->low;
        t->high = start + n > t->high ? start + n : t->high;
    }
    t->taps.count = axis->count;
    t->taps.mid_bits = axis->filter == FF_BICUBIC || axis->filter == FF_LANCZOS ? FF_MID_BITS_LOBES : FF_MID_BITS;

    /* Close up the rows of coefficients to the longest really used. */
    const size_t tight = (size_t)(longest + 1) & ~(size_t)1;
    for (size_t i = 1; i < count && tight < width; i++)
        memmove(t->taps.coef + i * tight, t->taps.coef + i * width, tight * sizeof(int16_t));
    t->taps.width = (int32_t)tight;
    return FF_OK;
}

static void swap_i32(int32_t *a, int32_t *b)
{
    const int32_t c = *a;
    *a = *b;
    *b = c;
}

/* The horizontal kind is stored in the order of the result, with the columns counted from low, and unrolled for SIMD. */
static void finish_wide(ff_tap_table *t)
{
    ff_taps *taps = &t->taps;
    const int32_t width = taps->width, pairs = width / 2;
    if (t->reversed)
        for (int32_t a = 0, b = taps->count - 1; a < b; a++, b--) {
            swap_i32(&taps->start[a], &taps->start[b]);
            swap_i32(&taps->length[a], &taps->length[b]);
            for (int32_t k = 0; k < width; k++) {
                const int16_t swap = taps->coef[(size_t)a * (size_t)width + (size_t)k];
                taps->coef[(size_t)a * (size_t)width + (size_t)k] = taps->coef[(size_t)b * (size_t)width + (size_t)k];
                taps->coef[(size_t)b * (size_t)width + (size_t)k] = swap;
            }
        }
    t->reversed = 0;
    const size_t count = ((size_t)taps->count + 3) & ~(size_t)3;
    for (size_t i = 0; i < count; i++) {
        if (i < (size_t)taps->count)
            taps->start[i] -= (int32_t)t->low;
        const int16_t *coef = taps->coef + i * (size_t)width;
        int32_t *wide = taps->wide + (i / 4) * (size_t)pairs * 16 + (i % 4) * 4;
        for (int32_t p = 0; p < pairs; p++, wide += 16) {
            const uint32_t pair = (uint32_t)(uint16_t)coef[2 * p] | (uint32_t)(uint16_t)coef[2 * p + 1] << 16;
            for (int k = 0; k < 4; k++)
                memcpy(&wide[k], &pair, sizeof pair);
        }
    }
}

const ff_tap_table *ff_taps_for(ff_tap_tables *tables, const ff_axis *axis, int wide)
{
    for (int i = 0; i < FF_TABLES; i++)
        if (tables->table[i].taps.count > 0 && same_axis(&tables->table[i].axis, axis))
            return &tables->table[i];
    ff_tap_table *t = &tables->table[tables->next++ % FF_TABLES];
    t->taps.count = 0;
    if (build(t, axis, wide) != FF_OK) {
        t->taps.count = 0;
        return NULL;
    }
    if (wide)
        finish_wide(t);
    t->axis = *axis;
    return t;
}

void ff_taps_free(ff_tap_tables *tables)
{
    for (int i = 0; i < FF_TABLES; i++)
        ff_buffer_free(&tables->table[i].memory);
}
