/* image: a plan and the bytes of a JPEG to a row.
 *
 * Every variant of the loops gives the code, the sentence and the bytes of the plain one; a decoder that has seen other
 * images gives those of a fresh one; and a good image comes out right after whatever there was.
 */
#include "fuzz.h"

#include <jpeglib.h>

#include "image/image.h"
#include "image/ops.h"
#include "simd/cpu.h"

enum { HEADER = 48, SIDE = 40 };
enum { RESIZE = 1, CENTER_CROP, RANDOM_RESIZED_CROP, HORIZONTAL_FLIP, VERTICAL_FLIP, AFFINE, COLOR_JITTER };

static void put_int(ff_op *op, int32_t value)
{
    memcpy(op->parameters + op->size, &value, sizeof value);
    op->size += 4;
}

static void put_float(ff_op *op, float value)
{
    memcpy(op->parameters + op->size, &value, sizeof value);
    op->size += 4;
}

static void add_op(ff_plan *plan, input *in, int kind)
{
    ff_op *op = &plan->ops[plan->n_ops++];
    *op = (ff_op){.kind = kind};
    if (kind == RESIZE || kind == CENTER_CROP || kind == RANDOM_RESIZED_CROP) {
        put_int(op, plan->out_h = 1 + below(in, SIDE));
        put_int(op, plan->out_w = 1 + below(in, SIDE));
    }
    if (kind == RESIZE)
        put_int(op, below(in, 3));
    if (kind == RESIZE || kind == RANDOM_RESIZED_CROP || kind == AFFINE)
        put_int(op, below(in, 5));
    switch (kind) {
    case RESIZE:
        for (int k = 0; k < 3; k++)
            put_float(op, between(in, 0.0f, 255.0f));
        break;
    case RANDOM_RESIZED_CROP:
        put_float(op, between(in, 0.0f, 0.5f));
        put_float(op, between(in, 0.5f, 1.0f));
        put_float(op, between(in, 0.1f, 1.0f));
        put_float(op, between(in, 1.0f, 9.0f));
        break;
    case HORIZONTAL_FLIP:
    case VERTICAL_FLIP:
        put_float(op, between(in, 0.0f, 1.0f));
        break;
    case AFFINE:
        for (int k = 0; k < 13; k++)
            put_float(op, between(in, -2.0f, 2.0f));
        break;
    case COLOR_JITTER:
        for (int k = 0; k < 8; k++)
            put_float(op, between(in, k < 6 ? 0.0f : -0.5f, k < 6 ? 3.0f : 0.5f));
        break;
    default:
        break;
    }
}

static ff_plan plan_of(input *in)
{
    ff_plan plan = {.max_scans = 100, .max_pixels = 1 << 15, .max_bytes = 1 << 30};
    plan.dtype = below(in, 3);
    plan.layout = below(in, 2);
    plan.exact = below(in, 2);
    plan.orient = below(in, 2);
    for (int k = 0; k < 3; k++) {
        plan.scale[k] = plan.dtype == FF_U8 ? 1.0f : between(in, -0.02f, 0.02f);
        plan.bias[k] = plan.dtype == FF_U8 ? 0.0f : between(in, -2.0f, 2.0f);
    }
    const int first = below(in, 8);
    if (first > 3) /* the most usual of all */
        add_op(&plan, in, RESIZE);
    for (int more = first & 3; more > 0; more--)
        add_op(&plan, in, 1 + below(in, COLOR_JITTER));
    if (plan.out_h == 0)
        add_op(&plan, in, CENTER_CROP);
    return plan;
}

typedef struct outcome {
    int code;
    char text[FF_ERR_LEN];
    uint8_t *row;
    size_t size;
} outcome;

static outcome made(ff_image *image, const ff_plan *plan, const uint8_t *data, size_t size)
{
    static const ff_key key = {1, 2, 3};
    outcome o = {.size = ff_plan_row_bytes(plan)};
    o.row = room(o.size);
    o.code = ff_image_encoded(image, plan, data, size, &key, o.row, o.text);
    return o;
}

static void same(const outcome *have, const outcome *expected, const char *what)
{
    HOLDS(have->code == expected->code && strcmp(have->text, expected->text) == 0, "%s: %d %s; expected %d %s", what,
          have->code, have->text, expected->code, expected->text);
    HOLDS(have->code != FF_OK || memcmp(have->row, expected->row, have->size) == 0, "%s: another row", what);
}

/* A good image: 37 x 29 pixels of slopes. */
static unsigned char *good;
static unsigned long good_size;
static ff_plan good_plan;
static outcome good_row;

static void make_good(void)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    uint8_t line[37 * 3];
    JSAMPROW lines[1] = {line};
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &good, &good_size);
    c.image_width = 37;
    c.image_height = 29;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < 29; y++) {
        for (int x = 0; x < 37 * 3; x++)
            line[x] = (uint8_t)(x * 2 + y * 3);
        (void)jpeg_write_scanlines(&c, lines, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);

    input none = {NULL, 0};
    good_plan = plan_of(&none);
    good_plan.n_ops = 0;
    good_plan.out_h = 29;
    good_plan.out_w = 37;
    ff_image *image = ff_image_new();
    good_row = made(image, &good_plan, good, good_size);
    HOLDS(good_row.code == FF_OK, "%s", good_row.text);
    ff_image_free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ff_image *image; /* sees every input */
    if (image == NULL) {
        image = ff_image_new();
        make_good();
    }
    if (size < HEADER)
        return 0;
    input in = {data, HEADER};
    const ff_plan plan = plan_of(&in);
    data += HEADER;
    size -= HEADER;

    ff_simd_select("baseline");
    ff_image *fresh = ff_image_new();
    outcome expected = made(fresh, &plan, data, size);
    ff_image_free(fresh);
    for (int k = 0; ff_simd_variant(k) != NULL; k++) {
        ff_simd_select(ff_simd_variant(k));
        outcome have = made(image, &plan, data, size);
        same(&have, &expected, ff_simd_variant(k));
        free(have.row);
    }
    outcome again = made(image, &good_plan, good, good_size);
    same(&again, &good_row, "the good image behind it");
    free(again.row);
    free(expected.row);
    return 0;
}
