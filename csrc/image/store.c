/* store: one row at a time through a stage that stays in the first-level cache, then out in one stream of whole lines. */
#include "image/store.h"

#include <math.h>
#include <string.h>

#include "image/plan.h"
#include "simd/dtype.h"

static size_t stage_values(int32_t width)
{
    return ((size_t)width + FF_STAGE_SLACK) * 3 + 64;
}

size_t ff_store_stage_bytes(int32_t width)
{
    return 2 * stage_values(width) * sizeof(float);
}

/* Bytes are made straight from the sums, where no float need come between. */
static int direct_u8(const ff_store *s)
{
    return s->dtype == FF_U8 && !s->colour;
}

static void put_blank(const ff_store *s, int32_t from, int32_t to)
{
    if (direct_u8(s))
        for (int32_t i = from; i < to; i++)
            for (int c = 0; c < 3; c++)
                s->packed[3 * i + c] = (uint8_t)s->blank[c];
    else
        for (int32_t i = from; i < to; i++)
            for (int c = 0; c < 3; c++)
                s->pixels[3 * i + c] = s->blank[c];
}

/* The stage's row to row y of the canvas. */
static void put_row(const ff_store *s, int32_t y)
{
    const size_t size = ff_dtype_bytes(s->dtype), width = (size_t)s->width, values = 3 * width;
    const void *from = s->pixels;
    ff_convert *const better = s->loops->convert[s->dtype];
    ff_convert *const convert = better != NULL ? better : ff_dtype_convert(s->dtype);
    if (convert != NULL) {
        if (!direct_u8(s))
            convert(s->packed, s->pixels, (int64_t)values);
        from = s->packed;
    }
    uint8_t *target = s->target;
    if (s->layout == FF_NCHW) {
        const size_t plane = (size_t)s->height * width * size, at = (size_t)y * width * size;
        void *const planes[3] = {target + at, target + plane + at, target + 2 * plane + at};
        s->loops->planes(planes, from, s->width, (int)size);
    } else if (s->read_again) {
        memcpy(target + (size_t)y * values * size, from, values * size);
    } else {
        s->loops->stream(target + (size_t)y * values * size, from, values * size);
    }
}

void ff_store_begin(ff_store *s)
{
    s->pixels = s->stage;
    s->packed = (uint8_t *)(s->pixels + stage_values(s->width));
    for (int c = 0; c < 3; c++) {
        /* Clipping to 0..255 comes before the scale; a negative scale turns the ends round. */
        const float a = s->bias[c], top = s->scale[c] * 255.0f, b = top + s->bias[c];
        s->low[c] = a < b ? a : b;
        s->high[c] = a < b ? b : a;
        for (int k = 0; k < 4; k++) {
            const float scaled = s->scale[c] * s->matrix[4 * c + k];
            s->combined[4 * c + k] = k == 3 ? scaled + s->bias[c] : scaled;
        }
        const float pixel = s->scale[c] * s->fill[c];
        s->blank[c] = pixel + s->bias[c];
    }
    if (s->colour) {
        memcpy(s->blank, s->fill, sizeof s->blank);
        s->loops->matrix(s->blank, 1, s->combined, s->low, s->high);
    }
    if (direct_u8(s))
        for (int c = 0; c < 3; c++)
            s->blank[c] = rintf(fminf(fmaxf(s->blank[c], 0.0f), 255.0f));

    if (s->top == 0 && s->left == 0 && s->n_rows == s->height && s->n_columns == s->width)
        return;
    put_blank(s, 0, s->width);
    for (int32_t y = 0; y < s->height; y++)
        if (y < s->top || y >= s->top + s->n_rows)
            put_row(s, y);
}

void ff_store_row(const ff_store *s, int32_t y, const int16_t *row, const ff_taps *taps)
{
    static const float one[3] = {1.0f, 1.0f, 1.0f}, zero[3] = {0.0f, 0.0f, 0.0f};
    if (direct_u8(s)) {
        s->loops->across_u8(s->packed + 3 * s->left, row, taps);
    } else {
        float *pixels = s->pixels + 3 * s->left;
        s->loops->across_f32(pixels, row, taps, s->colour ? one : s->scale, s->colour ? zero : s->bias);
        if (s->colour)
            s->loops->matrix(pixels, s->n_columns, s->combined, s->low, s->high);
    }
    /* across may have written a little too far */
    const int32_t right = s->left + s->n_columns;
    if (right < s->width)
        put_blank(s, right, s->width);
    put_row(s, s->top + y);
}

void ff_store_end(const ff_store *s)
{
    s->loops->settle();
}
