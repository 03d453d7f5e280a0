/* reduced: the baseline reader at reduced scales against the coefficients that libjpeg reads, and the verdict of both.
 *
 * The lines are the means of parts of each block, worked out here in doubles: of all its frequencies, or of the lowest ones
 * where it becomes no more than four pixels.  And a file that is decoded at a reduced scale without complaint is decoded in
 * full without complaint, and the other way round.
 */
#include "library.h"

#include <math.h>

#include "jpeg/baseline.h"
#include "jpeg/jpeg.h"
#include "simd/cpu.h"

#define PI 3.14159265358979323846

enum { MAX_PIXELS = 1 << 14 };

/* ---- what the lines should be ---- */

typedef struct plane {
    double *levels, *doubt; /* what rounding may have lost */
    int64_t stride;
    int parts_x, parts_y;
} plane;

static double clipped(double v)
{
    return v < 0.0 ? 0.0 : v > 255.0 ? 255.0 : v;
}

/* A pixel of a block, of all its frequencies or of the lowest ones; size: of what was added up. */
static double pixel_of(const JCOEF *coef, const JQUANT_TBL *quantiser, int y, int x, int frequencies, double *size)
{
    double sum = 128.0;
    for (int v = 0; v < frequencies; v++)
        for (int u = 0; u < frequencies; u++) {
            const double term = (double)coef[8 * v + u] * quantiser->quantval[8 * v + u] *
                                cos((2 * x + 1) * u * PI / 16.0) * cos((2 * y + 1) * v * PI / 16.0) *
                                (u == 0 ? sqrt(0.125) : 0.5) * (v == 0 ? sqrt(0.125) : 0.5);
            sum += term;
            *size += fabs(term);
        }
    return sum;
}

static plane plane_of(library *l, jvirt_barray_ptr blocks, int number, int denominator)
{
    jpeg_component_info *info = &l->c.comp_info[number];
    const int one = l->c.num_components == 1;
    const int luma_h = l->c.comp_info[0].h_samp_factor, luma_v = l->c.comp_info[0].v_samp_factor;
    plane p = {.parts_x = 8 / denominator * (number > 0 && !one ? luma_h : 1),
               .parts_y = 8 / denominator * (number > 0 && !one ? luma_v : 1)};
    const int low = p.parts_x <= 2 && p.parts_y <= 2, wide = 8 / p.parts_x, high = 8 / p.parts_y;
    const int64_t w = info->width_in_blocks, h = info->height_in_blocks;
    p.stride = w * p.parts_x;
    p.levels = room(sizeof(double) * (size_t)(p.stride * h * p.parts_y));
    p.doubt = room(sizeof(double) * (size_t)(p.stride * h * p.parts_y));
    for (int64_t row = 0; row < h; row++) {
        JBLOCKARRAY line = l->c.mem->access_virt_barray((j_common_ptr)&l->c, blocks, (JDIMENSION)row, 1, FALSE);
        for (int64_t column = 0; column < w; column++)
            for (int part = 0; part < p.parts_x * p.parts_y; part++) {
                const int top = part / p.parts_x * high, left = part % p.parts_x * wide;
                double sum = 0.0, size = 128.0;
                for (int k = 0; k < wide * high; k++) {
                    const double v = pixel_of(line[0][column], info->quant_table, top + k / wide, left + k % wide,
                                              low ? 2 : 8, &size);
                    sum += low ? v : clipped(v);
                }
                const int64_t at = (row * p.parts_y + part / p.parts_x) * p.stride + column * p.parts_x + part % p.parts_x;
                p.levels[at] = clipped(sum / (wide * high));
                p.doubt[at] = size > 1e8 ? 1e9 : low ? 0.51 + size * 1e-5 : 1.6;
            }
    }
    return p;
}

static void check_line(const plane *planes, int components, int64_t y, int64_t width, const uint8_t *line)
{
    for (int64_t x = 0; x < width; x++) {
        double level[3] = {0}, doubt = 0.0;
        for (int k = 0; k < components; k++) {
            level[k] = planes[k].levels[y * planes[k].stride + x];
            doubt += 2.0 * planes[k].doubt[y * planes[k].stride + x];
        }
        double rgb[3] = {level[0], level[0], level[0]};
        if (components == 3) {
            rgb[0] += 1.402 * (level[2] - 128.0);
            rgb[1] -= 0.344136 * (level[1] - 128.0) + 0.714136 * (level[2] - 128.0);
            rgb[2] += 1.772 * (level[1] - 128.0);
        }
        for (int k = 0; k < components; k++) {
            const double expected = rgb[k] < 0.0 ? 0.0 : rgb[k] > 255.0 ? 255.0 : rgb[k];
            const double have = line[x * components + k];
            HOLDS(fabs(have - expected) <= doubt + 1.0, "line %d, pixel %d, channel %d: %g, expected %g", (int)y, (int)x,
                  k, have, expected);
        }
    }
}

/* All lines of the reader.  1: it gave them all, and found the end. */
static int all_lines(library *l, int denominator, uint8_t *pixels, int64_t width, int64_t height)
{
    ff_baseline *d = ff_baseline_new();
    const ff_window window = {0, width, 0, height};
    int64_t y = 0;
    if (ff_baseline_begin(d, ff_loops_active()->frames, &l->c, denominator, &window))
        while (y < height && ff_baseline_line(d, pixels + (size_t)(y * width * l->c.num_components)))
            y++;
    const int well = y == height && ff_baseline_ended_well(d);
    ff_baseline_free(d);
    return well;
}

static void against_coefficients(const uint8_t *data, size_t size, int denominator)
{
    library *l = opened(data, size);
    if (l == NULL)
        return;
    const int64_t width = ff_jpeg_reduced(l->c.image_width, denominator);
    const int64_t height = ff_jpeg_reduced(l->c.image_height, denominator);
    uint8_t *pixels = room((size_t)(width * height) * 3);
    if (!all_lines(l, denominator, pixels, width, height)) {
        free(pixels);
        closed(l);
        return;
    }
    plane planes[3];
    const int components = l->c.num_components;
    if (setjmp(l->landing))
        HOLDS(0, "libjpeg refuses what the reader has decoded");
    jvirt_barray_ptr *blocks = jpeg_read_coefficients(&l->c);
    for (int k = 0; k < components; k++)
        planes[k] = plane_of(l, blocks[k], k, denominator);
    for (int64_t y = 0; y < height; y++)
        check_line(planes, components, y, width, pixels + y * width * components);
    for (int k = 0; k < components; k++) {
        free(planes[k].levels);
        free(planes[k].doubt);
    }
    free(pixels);
    closed(l);
}

/* ---- the verdict ---- */

static int verdict(ff_jpeg *j, const uint8_t *data, size_t size, int denominator, char text[FF_ERR_LEN])
{
    int code = ff_jpeg_open(j, data, size, MAX_PIXELS, 100, text);
    if (code != FF_OK)
        return code;
    const int64_t height = ff_jpeg_reduced(ff_jpeg_height(j), denominator);
    const ff_window window = {0, ff_jpeg_reduced(ff_jpeg_width(j), denominator), 0, height};
    code = ff_jpeg_start(j, denominator, &window, text);
    uint8_t *memory = NULL, *lines[16];
    if (code == FF_OK) {
        memory = room(ff_jpeg_line_bytes(j) * 16);
        for (int k = 0; k < 16; k++)
            lines[k] = memory + ff_jpeg_line_bytes(j) * (size_t)k;
    }
    for (int64_t done = 0; code == FF_OK && done < height;) {
        const int got = ff_jpeg_lines(j, lines, 16, text);
        done += got;
        code = got < 0 ? got : FF_OK;
    }
    if (code == FF_OK)
        code = ff_jpeg_stop(j, text);
    else
        ff_jpeg_abandon(j);
    free(memory);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ff_jpeg *j;
    char exact[FF_ERR_LEN] = "", reduced[FF_ERR_LEN] = "";
    if (j == NULL)
        j = ff_jpeg_new();
    const int code = verdict(j, data, size, 1, exact);
    for (int denominator = 2; denominator <= 8; denominator *= 2) {
        const int other = verdict(j, data, size, denominator, reduced);
        HOLDS(code == other, "in full: %d %s; at 1/%d: %d %s", code, exact, denominator, other, reduced);
        if (code == FF_OK)
            against_coefficients(data, size, denominator);
    }
    return 0;
}
