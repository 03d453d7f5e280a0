/* image: walk the plan, collect geometry until pixels are really needed, and make them in as few passes as can be.
 *
 * Each side of the picture is described on its own (struct side):
 *
 *   source pixels --cut--> piece --mirror--> --resize--> n pixels --window--> --place on a canvas--> --flip--> result
 *
 * A transform only edits the two sides.  One pass then does all of it, straight from the decoder to the caller's row.  A
 * transform that does not fit behind what is already there (a second resize, an affine map, contrast or hue) first has
 * the picture so far made as 8-bit RGB in scratch, and the walk goes on from that.
 *
 * Random numbers: transform number k of the plan draws ff_uniform(key, k, draw).
 *   flips              draw 0; flipped where it is below the probability
 *   RandomResizedCrop  attempt a of 10 draws 4a (area), 4a + 1 (log of the ratio), 4a + 2 (top), 4a + 3 (left)
 *   affine, jitter     see affine.c and colour.c
 */
#include "image/image.h"

#include "image/affine.h"
#include "image/colour.h"
#include "simd/cpu.h"
#include "jpeg/exif.h"
#include "jpeg/header.h"
#include "jpeg/jpeg.h"
#include "image/resample.h"
#include "random/philox.h"
#include "image/store.h"
#include "image/transpose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CROP_ATTEMPTS 10
/* A frame is decoded at a reduced scale while it stays at least so many times the target: Pillow's reducing_gap. */
#define REDUCING_GAP 2

struct ff_image {
    ff_jpeg *jpeg;
    ff_resampler resampler;
    ff_buffer pixels[2]; /* pictures between two passes */
    ff_buffer stage;
};

typedef struct side {
    int64_t at, length;    /* the cut out of the source */
    int mirror;            /* the cut is turned round */
    int resized;           /* where not, n is length and the box is all of it */
    int32_t filter;
    double begin, end;     /* the box of the cut (as mirrored) that becomes n pixels */
    int64_t n;
    int64_t first, count;  /* those of the n that are kept */
    int64_t place, canvas; /* where they lie, and in what length */
    int flip;              /* the canvas is turned round */
} side;

typedef struct work {
    ff_image *im;
    const ff_plan *plan;
    const ff_key *key;
    const ff_loops *loops;
    int encoded;        /* the source is the open JPEG; otherwise: */
    const uint8_t *rgb;
    int64_t stride;
    int64_t width, height; /* of the source as it is stored */
    int transposed;        /* side x runs along the source's columns and y along its rows */
    side x, y;
    float fill[3];         /* of the canvases */
    int colour;            /* a linear jitter waits for the last pass */
    float matrix[12];
    char *err;
} work;

/* ---- sides ---- */

static side whole(int64_t length)
{
    return (side){.length = length, .filter = FF_NEAREST, .end = (double)length, .n = length, .count = length, .canvas = length};
}

static int padded(const side *s)
{
    return s->place != 0 || s->count != s->canvas;
}

static int untouched(const side *s)
{
    return !s->resized && !padded(s);
}

static void cut(side *s, int64_t offset, int64_t length)
{
    side piece = whole(length);
    piece.at = s->at + (s->mirror ? s->length - offset - length : offset);
    piece.mirror = s->mirror;
    *s = piece;
}

/* Keep offset..offset + size - 1 of the canvas; it may reach beyond it. */
static void crop(side *s, int64_t offset, int64_t size)
{
    if (untouched(s) && offset >= 0 && offset + size <= s->length) {
        cut(s, offset, size);
        return;
    }
    if (s->flip)
        offset = s->canvas - offset - size;
    const int64_t low = s->place > offset ? s->place : offset;
    const int64_t end = s->place + s->count, stop = offset + size, high = end < stop ? end : stop;
    s->first += low - s->place;
    s->count = high > low ? high - low : 0;
    s->place = low - offset;
    s->canvas = size;
}

static void turn(side *s)
{
    if (untouched(s))
        s->mirror = !s->mirror;
    else
        s->flip = !s->flip;
}

static void resize(side *s, double begin, double end, int64_t n, int64_t canvas, int32_t filter)
{
    s->resized = 1;
    s->filter = filter;
    s->begin = begin;
    s->end = end;
    s->n = n;
    s->first = 0;
    s->count = n;
    /* Centred; halves go to the even side, as Pillow's ImageOps.pad has it. */
    s->place = (int64_t)rint((double)(canvas - n) * 0.5);
    s->canvas = canvas;
}

/* The side as an axis of the source decoded at 1/denominator; *origin is the source pixel that axis counts from. */
static ff_axis axis_of(const side *s, int64_t source_length, int denominator, int64_t *origin)
{
    ff_axis axis = {
        .length = s->length, .begin = s->begin, .end = s->end, .n = (int32_t)s->n, .first = (int32_t)s->first,
        .count = (int32_t)s->count, .filter = s->filter, .mirror = s->mirror, .flip = s->flip,
    };
    *origin = s->at;
    if (denominator > 1) {
        const double by = 1.0 / denominator; /* a power of two: exact */
        const int64_t frame = ff_jpeg_reduced(source_length, denominator), stop = s->at + s->length;
        const int64_t low = s->at / denominator;
        int64_t high = (stop + denominator - 1) / denominator;
        high = high < frame ? high : frame;
        axis.length = high - low;
        if (s->mirror) { /* the box counts from the far end */
            axis.begin = (double)high - ((double)stop - s->begin) * by;
            axis.end = (double)high - ((double)stop - s->end) * by;
        } else {
            axis.begin = ((double)s->at + s->begin) * by - (double)low;
            axis.end = ((double)s->at + s->end) * by - (double)low;
        }
        *origin = low;
    }
    return axis;
}

/* ---- one pass ---- */

static int read_lines(void *from, uint8_t **lines, int n, char err[FF_ERR_LEN])
{
    return ff_jpeg_lines(from, lines, n, err);
}

static int large_enough(const side *s, int denominator)
{
    return s->end - s->begin >= (double)(REDUCING_GAP * denominator) * (double)s->n;
}

static int denominator_for(const work *w)
{
    if (!w->encoded || w->plan->exact || !w->x.resized || !w->y.resized || w->x.filter == FF_NEAREST)
        return 1;
    int denominator = 8;
    while (denominator > 1 && !(large_enough(&w->x, denominator) && large_enough(&w->y, denominator) &&
                                ff_jpeg_reduces_well(w->im->jpeg, denominator)))
        denominator /= 2;
    return denominator;
}

/* Make the picture: into store, whose target, dtype, layout and colours are set. */
static int pass(work *w, ff_store *store)
{
    /* Along the source's rows and columns, whatever is upright. */
    const side *across = w->transposed ? &w->y : &w->x, *down = w->transposed ? &w->x : &w->y;
    const int64_t largest = 1 << 28; /* a canvas longer than that is a mistake, and int32 must hold three times as much */
    if (across->n > largest || down->n > largest || across->canvas > largest || down->canvas > largest)
        return ff_fail(w->err, FF_E_LIMIT, "a side of more than 268 million pixels");
    ff_image *im = w->im;
    store->loops = w->loops;
    store->height = (int32_t)down->canvas;
    store->width = (int32_t)across->canvas;
    store->n_rows = (int32_t)down->count;
    store->n_columns = (int32_t)across->count;
    store->top = (int32_t)(down->flip ? down->canvas - down->place - down->count : down->place);
    store->left = (int32_t)(across->flip ? across->canvas - across->place - across->count : across->place);
    memcpy(store->fill, w->fill, sizeof store->fill);
    store->stage = ff_buffer_need(&im->stage, ff_store_stage_bytes(store->width));
    if (store->stage == NULL)
        return ff_fail(w->err, FF_E_MEMORY, "no memory for a row");
    if (store->n_rows == 0 || store->n_columns == 0) {
        store->n_rows = store->n_columns = 0;
        ff_store_begin(store);
        return FF_OK;
    }

    const int denominator = denominator_for(w);
    int64_t column, line;
    const ff_axis horizontal = axis_of(across, w->width, denominator, &column);
    const ff_axis vertical = axis_of(down, w->height, denominator, &line);
    const ff_tap_table *x = ff_taps_for(&im->resampler, &horizontal, 1), *y = ff_taps_for(&im->resampler, &vertical, 0);
    if (x == NULL || y == NULL)
        return ff_fail(w->err, FF_E_MEMORY, "no memory for the tables of a resize");

    ff_store_begin(store);
    if (!w->encoded) {
        const ff_lines lines = {.channels = 3, .base = w->rgb + line * w->stride + column * 3, .stride = w->stride};
        return ff_resample(&im->resampler, w->loops, &lines, x, y, store, w->err);
    }
    const ff_window window = {column + x->low, column + x->high, line + y->low, line + y->high};
    int code = ff_jpeg_start(im->jpeg, denominator, &window, w->err);
    if (code != FF_OK)
        return code;
    const ff_lines lines = {
        .channels = ff_jpeg_channels(im->jpeg), .left = ff_jpeg_left(im->jpeg) - column, .read = read_lines,
        .from = im->jpeg, .line_bytes = ff_jpeg_line_bytes(im->jpeg), .at_once = ff_jpeg_lines_at_once(im->jpeg),
    };
    code = ff_resample(&im->resampler, w->loops, &lines, x, y, store, w->err);
    return code != FF_OK ? code : ff_jpeg_stop(im->jpeg, w->err);
}

static void go_on_from(work *w, const uint8_t *rgb, int64_t width, int64_t height)
{
    w->encoded = 0;
    w->rgb = rgb;
    w->stride = width * 3;
    w->width = width;
    w->height = height;
    w->transposed = 0;
    w->x = whole(width);
    w->y = whole(height);
}

/* A picture of width x height in whichever scratch is not the source. */
static uint8_t *other_pixels(work *w, int64_t width, int64_t height)
{
    ff_buffer *buffer = &w->im->pixels[w->rgb != NULL && w->rgb == w->im->pixels[0].memory];
    if (width > INT32_MAX || height > INT32_MAX || width > INT64_MAX / 4 / height)
        return NULL;
    return ff_buffer_need(buffer, (size_t)(width * height * 3));
}

/* Have the picture so far as 8-bit RGB in memory, upright. */
static int materialise(work *w)
{
    if (!w->encoded && untouched(&w->x) && untouched(&w->y) && !w->x.mirror && !w->y.mirror && !w->transposed &&
        w->x.length == w->width && w->y.length == w->height)
        return FF_OK;
    const int64_t width = w->x.canvas, height = w->y.canvas;
    uint8_t *pixels = other_pixels(w, width, height);
    if (pixels == NULL)
        return ff_fail(w->err, FF_E_MEMORY, "no memory for the picture between two transforms");
    ff_store store = {
        .target = pixels, .dtype = FF_U8, .layout = FF_NHWC, .scale = {1.0f, 1.0f, 1.0f}, .read_again = 1,
    };
    const int transposed = w->transposed;
    const int code = pass(w, &store);
    if (code != FF_OK)
        return code;
    if (transposed) {
        w->rgb = pixels;
        uint8_t *upright = other_pixels(w, width, height);
        if (upright == NULL)
            return ff_fail(w->err, FF_E_MEMORY, "no memory to turn the picture upright");
        ff_transpose(pixels, height, width, height * 3, upright, width * 3);
        pixels = upright;
    }
    go_on_from(w, pixels, width, height);
    return FF_OK;
}

/* ---- transforms ---- */

static int op_resize(work *w, const ff_op *op)
{
    const int64_t height = op->i[0], width = op->i[1];
    const int32_t fit = op->i[2], filter = op->i[3];
    if (!untouched(&w->x) || !untouched(&w->y)) {
        const int code = materialise(w);
        if (code != FF_OK)
            return code;
    }
    const double have_w = (double)w->x.length, have_h = (double)w->y.length;
    const double have = have_w / have_h, want = (double)width / (double)height;
    double left = 0.0, top = 0.0, box_w = have_w, box_h = have_h;
    int64_t n_w = width, n_h = height;
    if (fit == FF_COVER) { /* the box of ImageOps.fit */
        if (have > want)
            box_w = want * have_h;
        else if (have < want)
            box_h = have_w / want;
        left = (have_w - box_w) * 0.5;
        top = (have_h - box_h) * 0.5;
    } else if (fit == FF_CONTAIN) { /* the sizes of ImageOps.contain */
        if (have > want)
            n_h = (int64_t)rint(have_h / have_w * (double)width);
        else if (have < want)
            n_w = (int64_t)rint(have_w / have_h * (double)height);
        n_h = n_h < 1 ? 1 : n_h > height ? height : n_h;
        n_w = n_w < 1 ? 1 : n_w > width ? width : n_w;
        memcpy(w->fill, op->f, sizeof w->fill);
    }
    resize(&w->x, left, left + box_w, n_w, width, filter);
    resize(&w->y, top, top + box_h, n_h, height, filter);
    return FF_OK;
}

static int op_center_crop(work *w, const ff_op *op)
{
    const int64_t height = op->i[0], width = op->i[1];
    const int grows = width > w->x.canvas || height > w->y.canvas;
    const int filled = w->fill[0] > 0.0f || w->fill[1] > 0.0f || w->fill[2] > 0.0f;
    if (grows && filled && (padded(&w->x) || padded(&w->y))) { /* two borders of two colours */
        const int code = materialise(w);
        if (code != FF_OK)
            return code;
    }
    if (grows)
        memset(w->fill, 0, sizeof w->fill);
    side *sides[2] = {&w->x, &w->y};
    const int64_t sizes[2] = {width, height};
    for (int k = 0; k < 2; k++) {
        /* Centred as torchvision has it: what is missing is put on, the smaller half first; what is too much is taken
         * off, halves going to the even side. */
        const int64_t extra = sides[k]->canvas - sizes[k];
        crop(sides[k], extra < 0 ? -(-extra / 2) : (int64_t)rint((double)extra * 0.5), sizes[k]);
    }
    return FF_OK;
}

static double between(double low, double high, double u)
{
    return low + (high - low) * u;
}

static int op_random_resized_crop(work *w, const ff_op *op, uint32_t number)
{
    if (!untouched(&w->x) || !untouched(&w->y)) {
        const int code = materialise(w);
        if (code != FF_OK)
            return code;
    }
    const int64_t width = w->x.length, height = w->y.length;
    const double area = (double)width * (double)height;
    const double ratio_low = op->f[2], ratio_high = op->f[3];
    int64_t crop_w = 0, crop_h = 0, left = 0, top = 0;
    int found = 0;
    for (uint32_t a = 0; a < CROP_ATTEMPTS && !found; a++) {
        const double target = area * between(op->f[0], op->f[1], ff_uniform(w->key, number, 4 * a));
        const double ratio = exp(between(log(ratio_low), log(ratio_high), ff_uniform(w->key, number, 4 * a + 1)));
        const double draft_w = rint(sqrt(target * ratio)), draft_h = rint(sqrt(target / ratio));
        if (draft_w >= 1.0 && draft_w <= (double)width && draft_h >= 1.0 && draft_h <= (double)height) {
            crop_w = (int64_t)draft_w;
            crop_h = (int64_t)draft_h;
            top = (int64_t)(ff_uniform(w->key, number, 4 * a + 2) * (double)(height - crop_h + 1));
            left = (int64_t)(ff_uniform(w->key, number, 4 * a + 3) * (double)(width - crop_w + 1));
            found = 1;
        }
    }
    if (!found) { /* the largest centred piece whose ratio is allowed */
        const double ratio = (double)width / (double)height;
        crop_w = width;
        crop_h = height;
        if (ratio < ratio_low)
            crop_h = (int64_t)rint((double)width / ratio_low);
        else if (ratio > ratio_high)
            crop_w = (int64_t)rint((double)height * ratio_high);
        crop_w = crop_w < 1 ? 1 : crop_w > width ? width : crop_w;
        crop_h = crop_h < 1 ? 1 : crop_h > height ? height : crop_h;
        top = (height - crop_h) / 2;
        left = (width - crop_w) / 2;
    }
    cut(&w->x, left, crop_w);
    cut(&w->y, top, crop_h);
    resize(&w->x, 0.0, (double)crop_w, op->i[1], op->i[1], op->i[3]);
    resize(&w->y, 0.0, (double)crop_h, op->i[0], op->i[0], op->i[3]);
    return FF_OK;
}

static int op_affine(work *w, const ff_op *op, uint32_t number)
{
    int code = materialise(w);
    if (code != FF_OK)
        return code;
    uint8_t *pixels = other_pixels(w, w->width, w->height);
    if (pixels == NULL)
        return ff_fail(w->err, FF_E_MEMORY, "no memory for an affine map");
    double m[6];
    ff_affine_draw(op, w->key, number, w->width, w->height, m);
    ff_affine_rgb8(w->rgb, w->stride, pixels, w->width * 3, w->width, w->height, m, op->i[0], op->f + 10);
    go_on_from(w, pixels, w->width, w->height);
    return FF_OK;
}

/* Only flips, which leave colours alone, follow number. */
static int colour_is_last(const work *w, int32_t number)
{
    for (int32_t k = number + 1; k < w->plan->n_ops; k++)
        if (w->plan->ops[k].kind != FF_OP_HFLIP && w->plan->ops[k].kind != FF_OP_VFLIP)
            return 0;
    return 1;
}

static int op_jitter(work *w, const ff_op *op, int32_t number)
{
    const float *contrast = op->f + 2, *hue = op->f + 6;
    const int no_contrast = !(contrast[0] < 1.0f || contrast[0] > 1.0f || contrast[1] < 1.0f || contrast[1] > 1.0f);
    const int no_hue = !(hue[0] < 0.0f || hue[0] > 0.0f || hue[1] < 0.0f || hue[1] > 0.0f);
    if (colour_is_last(w, number)) {
        double mean[3] = {0.0, 0.0, 0.0}; /* only contrast looks at it */
        if (!no_contrast || !no_hue) {
            const int code = materialise(w);
            if (code != FF_OK)
                return code;
            ff_channel_means(w->rgb, w->stride, w->width, w->height, mean);
        }
        if (ff_jitter_matrix(op, w->key, (uint32_t)number, mean, w->matrix)) {
            w->colour = 1;
            return FF_OK;
        }
    }
    int code = materialise(w);
    if (code != FF_OK)
        return code;
    if (w->rgb != w->im->pixels[0].memory && w->rgb != w->im->pixels[1].memory) { /* the caller's own: not ours to change */
        uint8_t *pixels = other_pixels(w, w->width, w->height);
        if (pixels == NULL)
            return ff_fail(w->err, FF_E_MEMORY, "no memory for a jitter");
        for (int64_t y = 0; y < w->height; y++)
            memcpy(pixels + y * w->width * 3, w->rgb + y * w->stride, (size_t)w->width * 3);
        go_on_from(w, pixels, w->width, w->height);
    }
    ff_jitter_rgb8(op, w->key, (uint32_t)number, (uint8_t *)(uintptr_t)w->rgb, w->stride, w->width, w->height);
    return FF_OK;
}

/* ---- the walk ---- */

static int bad_size(int64_t height, int64_t width)
{
    return height < 1 || width < 1 || height > 1 << 20 || width > 1 << 20;
}

static int bad_plan(const ff_plan *plan)
{
    if (plan->n_ops < 0 || plan->n_ops > FF_MAX_OPS || bad_size(plan->out_h, plan->out_w) || plan->dtype < FF_U8 ||
        plan->dtype > FF_F32 || plan->layout < FF_NHWC || plan->layout > FF_NCHW)
        return 1;
    for (int32_t k = 0; k < plan->n_ops; k++) {
        const ff_op *op = &plan->ops[k];
        const int sized = op->kind == FF_OP_RESIZE || op->kind == FF_OP_CENTER_CROP || op->kind == FF_OP_RANDOM_RESIZED_CROP;
        if (sized && bad_size(op->i[0], op->i[1]))
            return 1;
        if ((op->kind == FF_OP_RESIZE || op->kind == FF_OP_RANDOM_RESIZED_CROP) &&
            (op->i[3] < FF_NEAREST || op->i[3] > FF_LANCZOS))
            return 1;
        if (op->kind == FF_OP_RANDOM_RESIZED_CROP && !(op->f[2] > 0.0f && op->f[3] >= op->f[2]))
            return 1;
    }
    return 0;
}

static int walk(work *w, void *row)
{
    const ff_plan *plan = w->plan;
    for (int32_t k = 0; k < plan->n_ops; k++) {
        const ff_op *op = &plan->ops[k];
        const uint32_t number = (uint32_t)k;
        int code = FF_OK;
        switch (op->kind) {
        case FF_OP_RESIZE:
            code = op_resize(w, op);
            break;
        case FF_OP_CENTER_CROP:
            code = op_center_crop(w, op);
            break;
        case FF_OP_RANDOM_RESIZED_CROP:
            code = op_random_resized_crop(w, op, number);
            break;
        case FF_OP_HFLIP:
            if (ff_uniform(w->key, number, 0) < (double)op->f[0])
                turn(&w->x);
            break;
        case FF_OP_VFLIP:
            if (ff_uniform(w->key, number, 0) < (double)op->f[0])
                turn(&w->y);
            break;
        case FF_OP_AFFINE:
            code = op_affine(w, op, number);
            break;
        case FF_OP_COLOR_JITTER:
            code = op_jitter(w, op, k);
            break;
        default:
            code = ff_fail(w->err, FF_E_PLAN, "the plan names a transform that this build does not know");
        }
        if (code != FF_OK)
            return code;
    }
    if (w->x.canvas != plan->out_w || w->y.canvas != plan->out_h) {
        return ff_fail(w->err, FF_E_PLAN,
                       "the transforms give %lld x %lld pixels where %d x %d are wanted; give size= or end with a "
                       "transform that fixes the size",
                       (long long)w->y.canvas, (long long)w->x.canvas, (int)plan->out_h, (int)plan->out_w);
    }
    if (w->transposed) {
        const int code = materialise(w);
        if (code != FF_OK)
            return code;
    }
    ff_store store = {.target = row, .dtype = plan->dtype, .layout = plan->layout, .colour = w->colour};
    memcpy(store.scale, plan->scale, sizeof store.scale);
    memcpy(store.bias, plan->bias, sizeof store.bias);
    memcpy(store.matrix, w->matrix, sizeof store.matrix);
    const int code = pass(w, &store);
    ff_store_end(&store);
    return code;
}

static int too_many_pixels(work *w)
{
    return ff_fail(w->err, FF_E_LIMIT, "%lld x %lld pixels are more than max_pixels = %lld; raise it if that is meant",
                   (long long)w->width, (long long)w->height, (long long)w->plan->max_pixels);
}

static work begin(ff_image *im, const ff_plan *plan, const ff_key *key, char err[FF_ERR_LEN])
{
    err[0] = '\0';
    return (work){.im = im, .plan = plan, .key = key, .loops = ff_loops_active(), .err = err};
}

size_t ff_plan_row_bytes(const ff_plan *plan)
{
    if (bad_size(plan->out_h, plan->out_w))
        return 0;
    const size_t size = plan->dtype == FF_U8 ? 1 : plan->dtype == FF_F16 ? 2 : 4;
    return (size_t)plan->out_h * (size_t)plan->out_w * 3 * size;
}

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

int ff_image_encoded(ff_image *im, const ff_plan *plan, const uint8_t *data, size_t size, const ff_key *key, void *row,
                     char err[FF_ERR_LEN])
{
    work w = begin(im, plan, key, err);
    if (bad_plan(plan))
        return ff_fail(err, FF_E_PLAN, "the plan is malformed");
    if (size > (uint64_t)(plan->max_bytes > 0 ? plan->max_bytes : 0))
        return ff_fail(err, FF_E_LIMIT, "%zu bytes are more than max_bytes = %lld; raise it if that is meant", size,
                       (long long)plan->max_bytes);
    int code = ff_jpeg_open(im->jpeg, data, size, plan->max_pixels, plan->max_scans, err);
    if (code != FF_OK)
        return code;
    w.encoded = 1;
    w.width = ff_jpeg_width(im->jpeg);
    w.height = ff_jpeg_height(im->jpeg);

    size_t length = 0;
    const uint8_t *exif = plan->orient ? ff_jpeg_exif(data, size, &length) : NULL;
    const int orientation = exif != NULL ? ff_exif_orientation(exif, length) : 1;
    /* How the upright picture's x and y run over the stored one: 5 to 8 along its columns and rows, and backwards where
     * the table says so. */
    static const uint8_t backwards[9][2] = {{0, 0}, {0, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 0}, {1, 0}, {1, 1}, {0, 1}};
    w.transposed = orientation >= 5;
    w.x = whole(w.transposed ? w.height : w.width);
    w.y = whole(w.transposed ? w.width : w.height);
    w.x.mirror = backwards[orientation][0];
    w.y.mirror = backwards[orientation][1];

    code = walk(&w, row);
    if (code != FF_OK)
        ff_jpeg_abandon(im->jpeg);
    return code;
}

int ff_image_pixels(ff_image *im, const ff_plan *plan, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride,
                    const ff_key *key, void *row, char err[FF_ERR_LEN])
{
    work w = begin(im, plan, key, err);
    if (bad_plan(plan))
        return ff_fail(err, FF_E_PLAN, "the plan is malformed");
    if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX || stride < 3 * width)
        return ff_fail(err, FF_E_PLAN, "a picture of no size, or rows that overlap");
    w.width = width;
    w.height = height;
    if (width > plan->max_pixels / height)
        return too_many_pixels(&w);
    go_on_from(&w, rgb, width, height);
    w.stride = stride;
    return walk(&w, row);
}
