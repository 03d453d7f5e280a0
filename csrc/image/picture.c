/* picture: one pass from the source to a store, and the picture made in scratch where one pass will not do. */
#include "image/picture.h"

#include <stdlib.h>
#include <string.h>

#include "base/codes.h"
#include "image/transpose.h"

/* A frame is decoded at a reduced scale while it stays at least this many times the target: Pillow's reducing_gap. */
#define REDUCING_GAP 2

ff_image *ff_image_new(void)
{
    ff_image *im = calloc(1, sizeof *im);
    if (im == NULL)
        return NULL;
    im->jpeg = ff_jpeg_new();
    if (im->jpeg == NULL) {
        free(im);
        return NULL;
    }
    return im;
}

void ff_image_free(ff_image *im)
{
    if (im == NULL)
        return;
    ff_jpeg_free(im->jpeg);
    ff_resampler_free(&im->resampler);
    ff_buffer_free(&im->pixels[0]);
    ff_buffer_free(&im->pixels[1]);
    ff_buffer_free(&im->stage);
    free(im);
}

const char *ff_image_reader(const ff_image *im)
{
    return ff_jpeg_reader(im->jpeg);
}

static int read_lines(void *from, uint8_t **lines, int n, char err[FF_ERR_LEN])
{
    return ff_jpeg_lines(from, lines, n, err);
}

static int large_enough(const ff_side *s, int denominator)
{
    return s->end - s->begin >= (double)(REDUCING_GAP * denominator) * (double)s->n;
}

static int denominator_for(const ff_picture *p)
{
    if (!p->encoded || p->plan->exact || !p->x.resized || !p->y.resized || p->x.filter == FF_NEAREST)
        return 1;
    int denominator = 8;
    while (denominator > 1 && !(large_enough(&p->x, denominator) && large_enough(&p->y, denominator) &&
                                ff_jpeg_reduces_well(p->im->jpeg, denominator)))
        denominator /= 2;
    return denominator;
}

int ff_picture_pass(ff_picture *p, ff_store *store)
{
    /* Along the source's rows and columns, whatever is upright. */
    const ff_side *across = p->transposed ? &p->y : &p->x, *down = p->transposed ? &p->x : &p->y;
    const int64_t largest = 1 << 28; /* a canvas longer than that is a mistake, and int32 must hold three times as much */
    if (across->n > largest || down->n > largest || across->canvas > largest || down->canvas > largest)
        return ff_fail(p->err, FF_E_LIMIT, "a side of more than 268 million pixels");
    ff_image *im = p->im;
    store->loops = p->loops;
    store->height = (int32_t)down->canvas;
    store->width = (int32_t)across->canvas;
    store->n_rows = (int32_t)down->count;
    store->n_columns = (int32_t)across->count;
    store->top = (int32_t)(down->flip ? down->canvas - down->place - down->count : down->place);
    store->left = (int32_t)(across->flip ? across->canvas - across->place - across->count : across->place);
    memcpy(store->fill, p->fill, sizeof store->fill);
    store->stage = ff_buffer_need(&im->stage, ff_store_stage_bytes(store->width));
    if (store->stage == NULL)
        return ff_fail(p->err, FF_E_MEMORY, "no memory for a row");
    if (store->n_rows == 0 || store->n_columns == 0) {
        store->n_rows = store->n_columns = 0;
        ff_store_begin(store);
        return FF_OK;
    }

    const int denominator = denominator_for(p);
    int64_t column, line;
    const ff_axis horizontal = ff_side_axis(across, p->width, denominator, &column);
    const ff_axis vertical = ff_side_axis(down, p->height, denominator, &line);
    const ff_tap_table *x = ff_taps_for(&im->resampler.x, &horizontal, 1);
    const ff_tap_table *y = ff_taps_for(&im->resampler.y, &vertical, 0);
    if (x == NULL || y == NULL)
        return ff_fail(p->err, FF_E_MEMORY, "no memory for the tables of a resize");

    ff_store_begin(store);
    if (!p->encoded) {
        const ff_lines lines = {.channels = 3, .base = p->rgb + line * p->stride + column * 3, .stride = p->stride};
        return ff_resample(&im->resampler, p->loops, &lines, x, y, store, p->err);
    }
    const ff_window window = {column + x->low, column + x->high, line + y->low, line + y->high};
    int code = ff_jpeg_start(im->jpeg, denominator, &window, p->err);
    if (code != FF_OK)
        return code;
    const ff_lines lines = {
        .channels = ff_jpeg_channels(im->jpeg), .left = ff_jpeg_left(im->jpeg) - column, .read = read_lines,
        .from = im->jpeg, .line_bytes = ff_jpeg_line_bytes(im->jpeg), .at_once = ff_jpeg_lines_at_once(im->jpeg),
    };
    code = ff_resample(&im->resampler, p->loops, &lines, x, y, store, p->err);
    return code != FF_OK ? code : ff_jpeg_stop(im->jpeg, p->err);
}

void ff_picture_go_on_from(ff_picture *p, const uint8_t *rgb, int64_t width, int64_t height)
{
    p->encoded = 0;
    p->rgb = rgb;
    p->stride = width * 3;
    p->width = width;
    p->height = height;
    p->transposed = 0;
    p->x = ff_side_whole(width);
    p->y = ff_side_whole(height);
}

uint8_t *ff_picture_other(ff_picture *p, int64_t width, int64_t height)
{
    ff_buffer *buffer = &p->im->pixels[p->rgb != NULL && p->rgb == p->im->pixels[0].memory];
    if (width > INT32_MAX || height > INT32_MAX || width > INT64_MAX / 4 / height)
        return NULL;
    return ff_buffer_need(buffer, (size_t)(width * height * 3));
}

int ff_picture_materialise(ff_picture *p)
{
    const int untouched = ff_side_untouched(&p->x) && ff_side_untouched(&p->y) && !p->x.mirror && !p->y.mirror;
    if (!p->encoded && untouched && !p->transposed && p->x.length == p->width && p->y.length == p->height)
        return FF_OK;
    const int64_t width = p->x.canvas, height = p->y.canvas;
    uint8_t *pixels = ff_picture_other(p, width, height);
    if (pixels == NULL)
        return ff_fail(p->err, FF_E_MEMORY, "no memory for the picture between two transforms");
    ff_store store = {
        .target = pixels, .dtype = FF_U8, .layout = FF_NHWC, .scale = {1.0f, 1.0f, 1.0f}, .read_again = 1,
    };
    const int transposed = p->transposed;
    const int code = ff_picture_pass(p, &store);
    if (code != FF_OK)
        return code;
    if (transposed) {
        p->rgb = pixels;
        uint8_t *upright = ff_picture_other(p, width, height);
        if (upright == NULL)
            return ff_fail(p->err, FF_E_MEMORY, "no memory to turn the picture upright");
        ff_transpose(pixels, height, width, height * 3, upright, width * 3);
        pixels = upright;
    }
    ff_picture_go_on_from(p, pixels, width, height);
    return FF_OK;
}
