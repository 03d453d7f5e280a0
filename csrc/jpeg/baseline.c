/* baseline: strips of blocks to planes, rows of planes to lines of pixels.
 *
 *   scan --blocks--> a strip of coefficients --transform, means--> one MCU row of planes --widen, rgb--> a line
 *
 * The strip and the planes of one MCU row are small, so what one step writes is in the cache for the next.  Chroma that is
 * halved in height is blended from two rows, so the last row of each MCU row waits for the next one: it is carried over.
 * Blocks that the window does not need are stepped over.  At a reduced scale a block of any component becomes as many pixels
 * as its place has, so that chroma is not widened.
 */
#include "jpeg/baseline.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "jpeg/blocks.h"
#include "jpeg/means.h"

#define PAD 32 /* bytes before a row of a plane: room for a neighbour, and rows stay aligned */

typedef struct component {
    int h, v;  /* blocks in an MCU */
    int first; /* of them in the strip's order */
    int parts_x, parts_y; /* pixels that a block becomes */
    int keep;             /* coefficients of the zigzag that are read of a block: 64, or as many as these want: */
    ff_means means;
    const ff_codes *codes;
    int16_t quantiser[64];
    int16_t level;   /* of the block before */
    int64_t columns; /* samples of a row that are the picture's */
    int64_t rows;    /* of the whole plane */
    uint8_t *plane;  /* rows: the one carried over, then the MCU row in hand */
    int64_t stride;
} component;

struct ff_baseline {
    ff_block blocks[FF_STRIP + 3]; /* and some of zeros */
    ff_scan scan;
    const ff_codes *order[FF_STRIP];
    uint8_t keep[FF_STRIP], nothing[FF_STRIP]; /* coefficients that are read of each block */
    component component[3];
    int n_components, per_mcu;
    int h, v; /* luma samples for a chroma sample */
    int denominator;
    int64_t row_lines; /* in an MCU row */
    unsigned interval, to_restart, restarts;
    int64_t width, height; /* of the reduced frame */
    int64_t mcus_x, mcus_y;
    int64_t from_mcu, to_mcu; /* columns that the window needs */
    int64_t first_row;        /* MCU rows above it are stepped over */
    int waits;                /* the last line of an MCU row waits for the next one */
    int64_t mcu_row;          /* the next one to read */
    int64_t line;             /* the next one to give */
    int gave_up;
    int64_t left, pixels;     /* of a line */
    const ff_frame_loops *loops;
    ff_code_store store;
    ff_buffer memory;   /* planes and: */
    uint8_t *chroma[2]; /* a row of each, as wide as luma */
};

ff_baseline *ff_baseline_new(void)
{
    const size_t size = (sizeof(ff_baseline) + 63) / 64 * 64;
    ff_baseline *d = aligned_alloc(64, size);
    if (d == NULL)
        return NULL;
    memset(d, 0, size);
    memset(d->nothing, 1, sizeof d->nothing); /* but the level */
    return d;
}

void ff_baseline_free(ff_baseline *d)
{
    if (d == NULL)
        return;
    ff_codes_free(&d->store);
    ff_buffer_free(&d->memory);
    free(d);
}

/* ---- the frame ---- */

int ff_baseline_takes(const struct jpeg_decompress_struct *c)
{
    if (!ff_jpeg_has_blocks(c) || c->progressive_mode || c->arith_code || c->data_precision != 8 || c->comps_in_scan != c->num_components ||
        c->Ss != 0 || c->Se != 63 || c->Ah != 0 || c->Al != 0)
        return 0;
    if (c->num_components == 1)
        return c->jpeg_color_space == JCS_GRAYSCALE;
    return c->num_components == 3 && c->jpeg_color_space == JCS_YCbCr && c->comp_info[0].h_samp_factor <= 2 &&
           c->comp_info[0].v_samp_factor <= 2;
}

static int take_component(ff_baseline *d, const struct jpeg_decompress_struct *c, int k)
{
    const jpeg_component_info *info = c->cur_comp_info[k];
    component *m = &d->component[k];
    const int luma = k == 0;
    if (info != &c->comp_info[k] || (!luma && (info->h_samp_factor != 1 || info->v_samp_factor != 1)))
        return 0;
    const int dc = info->dc_tbl_no, ac = info->ac_tbl_no, q = info->quant_tbl_no;
    if (dc < 0 || dc > 3 || ac < 0 || ac > 3 || q < 0 || q > 3 || c->dc_huff_tbl_ptrs[dc] == NULL ||
        c->ac_huff_tbl_ptrs[ac] == NULL || c->quant_tbl_ptrs[q] == NULL)
        return 0;
    for (int i = 0; i < 64; i++) {
        if (c->quant_tbl_ptrs[q]->quantval[i] > 255)
            return 0;
        m->quantiser[i] = (int16_t)c->quant_tbl_ptrs[q]->quantval[i];
    }
    const int passing = d->denominator > 2 || d->from_mcu > 0 || d->to_mcu < d->mcus_x || d->first_row > 0;
    m->codes = ff_codes_for(&d->store, c->dc_huff_tbl_ptrs[dc], c->ac_huff_tbl_ptrs[ac], passing);
    m->h = luma ? d->h : 1;
    m->v = luma ? d->v : 1;
    m->first = d->per_mcu;
    m->level = 0;
    const int whole = d->denominator == 1;
    m->parts_x = whole ? 8 : 8 * d->h / m->h / d->denominator;
    m->parts_y = whole ? 8 : 8 * d->v / m->v / d->denominator;
    m->keep = 64;
    if (m->parts_x <= FF_MEANS_PARTS && m->parts_y <= FF_MEANS_PARTS) {
        ff_means_make(&m->means, m->parts_x, m->parts_y, m->quantiser);
        m->keep = m->means.keep;
    }
    m->rows = luma || !whole ? d->height : (d->height + d->v - 1) / d->v;
    const int64_t across = luma || !whole ? d->width : (d->width + d->h - 1) / d->h;
    const int64_t from = d->from_mcu * m->h * m->parts_x, to = d->to_mcu * m->h * m->parts_x;
    m->columns = (to < across ? to : across) - from;
    m->stride = PAD + (to - from + FF_FRAME_SLACK + 31) / 32 * 32;
    d->per_mcu += m->h * m->v;
    return m->codes != NULL;
}

static int64_t plane_bytes(const component *m)
{
    return m->stride * (m->v * m->parts_y + 1);
}

int ff_baseline_begin(ff_baseline *d, const ff_frame_loops *loops, const struct jpeg_decompress_struct *c, int denominator,
                      const ff_window *window)
{
    if (!ff_baseline_takes(c))
        return 0;
    const int one = c->num_components == 1;
    d->loops = loops;
    d->denominator = denominator;
    d->n_components = c->num_components;
    d->h = one ? 1 : c->comp_info[0].h_samp_factor;
    d->v = one ? 1 : c->comp_info[0].v_samp_factor;
    /* libjpeg-turbo does not blend the chroma of a picture that has two columns of it, or one. */
    if (denominator == 1 && d->h == 2 && c->image_width <= 4)
        return 0;
    d->width = ff_jpeg_reduced(c->image_width, denominator);
    d->height = ff_jpeg_reduced(c->image_height, denominator);
    d->mcus_x = ff_jpeg_reduced(c->image_width, 8 * d->h);
    d->mcus_y = ff_jpeg_reduced(c->image_height, 8 * d->v);
    const int64_t mcu_w = 8 * d->h / denominator;
    d->row_lines = 8 * d->v / denominator;
    /* A pixel beside the window on either side, whose chroma its edge is blended with. */
    d->from_mcu = window->x0 > 0 ? (window->x0 - 1) / mcu_w : 0;
    d->to_mcu = (window->x1 + mcu_w) / mcu_w;
    if (d->to_mcu > d->mcus_x)
        d->to_mcu = d->mcus_x;
    d->waits = denominator == 1 && d->v == 2;
    d->first_row = window->y0 > d->waits ? (window->y0 - d->waits) / d->row_lines : 0;
    d->left = d->from_mcu * mcu_w;
    d->pixels = (d->to_mcu * mcu_w < d->width ? d->to_mcu * mcu_w : d->width) - d->left;
    d->mcu_row = d->gave_up = 0;
    d->line = window->y0;

    d->per_mcu = 0;
    size_t size = 0;
    for (int k = 0; k < d->n_components; k++) {
        if (!take_component(d, c, k))
            return 0;
        size += (size_t)plane_bytes(&d->component[k]);
    }
    const size_t wide = (size_t)(d->pixels + d->h + FF_FRAME_SLACK + 31) / 32 * 32;
    uint8_t *memory = ff_buffer_need(&d->memory, size + 2 * wide);
    if (memory == NULL)
        return 0;
    d->chroma[0] = memory;
    d->chroma[1] = memory + wide;
    memory += 2 * wide;
    for (int k = 0; k < d->n_components; k++) {
        component *m = &d->component[k];
        m->plane = memory + PAD;
        memory += plane_bytes(m);
        for (int mcu = 0; mcu < FF_STRIP / d->per_mcu; mcu++)
            for (int block = 0; block < m->h * m->v; block++) {
                const int at = mcu * d->per_mcu + m->first + block;
                d->order[at] = m->codes;
                d->keep[at] = (uint8_t)m->keep;
            }
    }
    memset(d->blocks, 0, sizeof d->blocks);
    d->interval = d->to_restart = c->restart_interval;
    d->restarts = 0;
    ff_scan_begin(&d->scan, c->src->next_input_byte, c->src->next_input_byte + c->src->bytes_in_buffer);
    return 1;
}

int64_t ff_baseline_left(const ff_baseline *d)
{
    return d->left;
}

int64_t ff_baseline_pixels(const ff_baseline *d)
{
    return d->pixels;
}

/* ---- MCU rows ---- */

/* Differences to levels, in the order in which they were coded. */
static void add_levels(ff_baseline *d, int mcus)
{
    ff_block *block = d->blocks;
    for (int mcu = 0; mcu < mcus; mcu++)
        for (int k = 0; k < d->n_components; k++) {
            component *m = &d->component[k];
            for (int i = 0; i < m->h * m->v; i++, block++)
                block->coef[0] = m->level = (int16_t)(m->level + block->coef[0]);
        }
}

/* Of blocks that were stepped over, only the level was written. */
static void forget(ff_baseline *d, int blocks)
{
    for (int i = 0; i < blocks; i++)
        d->blocks[i].coef[0] = 0;
}

/* Means of across x down pixels of four blocks, each 1, 2 or 4. */
static void shrink(const ff_frame_loops *loops, const uint8_t *pixels, int across, int down, uint8_t *to, int64_t stride)
{
    if (across == 2 && down == 2) {
        loops->halve(pixels, to, stride);
        return;
    }
    for (int y = 0; y < 8 / down; y++)
        for (int x = 0; x < 32 / across; x++) {
            int sum = across * down / 2;
            for (int v = 0; v < down; v++)
                for (int u = 0; u < across; u++)
                    sum += pixels[(y * down + v) * 32 + x * across + u];
            to[y * stride + x] = (uint8_t)(sum / (across * down));
        }
}

/* Four blocks side by side to their place.  0: these coefficients are left to the library. */
static int transform_four(const ff_baseline *d, const component *m, int16_t *const blocks[4], uint8_t *to)
{
    if (m->parts_x == 8 && m->parts_y == 8)
        return d->loops->transform(blocks, m->quantiser, to, m->stride);
    if (m->keep == 64) {
        uint8_t pixels[8 * 32];
        if (!d->loops->transform(blocks, m->quantiser, pixels, 32))
            return 0;
        shrink(d->loops, pixels, 8 / m->parts_x, 8 / m->parts_y, to, m->stride);
        return 1;
    }
    ff_means_put(&m->means, blocks, to, m->stride);
    return 1;
}

/* A row of a component's blocks in a strip, filled up to a multiple of four; how many there are. */
static int blocks_of_row(ff_baseline *d, const component *m, int row, int mcus, int16_t *found[FF_STRIP + 3])
{
    int n = 0;
    for (int mcu = 0; mcu < mcus; mcu++)
        for (int column = 0; column < m->h; column++)
            found[n++] = d->blocks[mcu * d->per_mcu + m->first + row * m->h + column].coef;
    for (int k = 0; k < 3; k++)
        found[n + k] = d->blocks[FF_STRIP + k].coef;
    return n;
}

/* The strip that begins at MCU x to its place in the planes, four blocks at a time. */
static int transform_strip(ff_baseline *d, int64_t x, int mcus)
{
    int good = 1;
    for (int k = 0; k < d->n_components; k++) {
        component *m = &d->component[k];
        for (int row = 0; row < m->v; row++) {
            uint8_t *to = m->plane + (m->parts_y * row + 1) * m->stride + (x - d->from_mcu) * m->h * m->parts_x;
            int16_t *row_of_blocks[FF_STRIP + 3];
            const int n = blocks_of_row(d, m, row, mcus, row_of_blocks);
            for (int i = 0; i < n; i += 4, to += 4 * m->parts_x)
                good &= transform_four(d, m, row_of_blocks + i, to);
        }
    }
    return good;
}

static int restart(ff_baseline *d)
{
    if (!ff_scan_restart(&d->scan, d->restarts++))
        return 0;
    d->to_restart = d->interval;
    for (int k = 0; k < d->n_components; k++)
        d->component[k].level = 0;
    return 1;
}

static void carry_over(ff_baseline *d)
{
    for (int k = 0; k < d->n_components; k++) {
        const component *m = &d->component[k];
        memcpy(m->plane - PAD, m->plane - PAD + m->parts_y * m->v * m->stride, (size_t)m->stride);
    }
}

/* The neighbours that chroma at the edges of the picture does not have. */
static void repeat_edges(ff_baseline *d)
{
    for (int k = 1; k < d->n_components; k++) {
        const component *m = &d->component[k];
        uint8_t *row = m->plane + m->stride;
        for (int y = 0; y < 8; y++, row += m->stride) {
            row[-1] = row[0];
            row[m->columns] = row[m->columns - 1];
        }
    }
}

static int read_strip(ff_baseline *d, int used, int blocks)
{
    ff_scan_fill(&d->scan);
    if (used && d->denominator <= 2)
        return ff_blocks_read(&d->scan, d->loops->bmi2, d->blocks, d->order, blocks);
    const uint8_t *keep = used ? d->keep : d->nothing;
    return ff_blocks_read_first(&d->scan, d->loops->bmi2, d->blocks, d->order, keep, blocks);
}

static int read_mcu_row(ff_baseline *d)
{
    const int wanted = d->mcu_row >= d->first_row;
    if (wanted && d->waits)
        carry_over(d);
    for (int64_t x = 0; x < d->mcus_x;) {
        if (d->interval != 0 && d->to_restart == 0 && !restart(d))
            return 0;
        const int used = wanted && x >= d->from_mcu && x < d->to_mcu;
        int64_t n = (used ? d->to_mcu : wanted && x < d->from_mcu ? d->from_mcu : d->mcus_x) - x;
        if (n > FF_STRIP / d->per_mcu)
            n = FF_STRIP / d->per_mcu;
        if (d->interval != 0 && n > d->to_restart)
            n = d->to_restart;
        const int mcus = (int)n, blocks = mcus * d->per_mcu;
        if (!read_strip(d, used, blocks) || ff_scan_overran(&d->scan))
            return 0;
        add_levels(d, mcus);
        if (!used)
            forget(d, blocks);
        else if (!transform_strip(d, x, mcus))
            return 0;
        d->to_restart -= (unsigned)mcus;
        x += mcus;
    }
    if (wanted && d->denominator == 1 && d->h == 2)
        repeat_edges(d);
    d->mcu_row++;
    return 1;
}

/* ---- lines ---- */

/* Lines that are there, counted from the top; where chroma is halved in height, the last one waits for the next row. */
static int64_t ready(const ff_baseline *d)
{
    return d->mcu_row == d->mcus_y ? d->height : d->mcu_row * d->row_lines - d->waits;
}

static const uint8_t *row_of(const ff_baseline *d, int k, int64_t y)
{
    const component *m = &d->component[k];
    const int64_t row = y < 0 ? 0 : y < m->rows ? y : m->rows - 1; /* the edges are repeated */
    return m->plane + (row - (d->mcu_row - 1) * m->v * m->parts_y + 1) * m->stride;
}

/* A row of chroma, as wide as luma. */
static const uint8_t *wide_chroma(ff_baseline *d, int k)
{
    const int64_t n = d->component[k].columns, y = d->line;
    if (d->denominator > 1)
        return row_of(d, k, y);
    const uint8_t *near = row_of(d, k, y / d->v);
    if (d->h == 1 && d->v == 1)
        return near;
    uint8_t *wide = d->chroma[k - 1];
    if (d->v == 1) {
        d->loops->widen(wide, near, n);
        return wide;
    }
    const uint8_t *far = row_of(d, k, y % 2 == 0 ? y / 2 - 1 : y / 2 + 1);
    if (d->h == 2)
        d->loops->widen_between(wide, near, far, n);
    else
        d->loops->between(wide, near, far, n, y % 2 == 0 ? 1 : 2);
    return wide;
}

int ff_baseline_line(ff_baseline *d, uint8_t *line)
{
    while (d->line >= ready(d) && !d->gave_up)
        d->gave_up = d->mcu_row == d->mcus_y || !read_mcu_row(d);
    if (d->gave_up)
        return 0;
    const uint8_t *luma = row_of(d, 0, d->line);
    if (d->n_components == 1)
        memcpy(line, luma, (size_t)d->pixels);
    else
        d->loops->rgb(line, luma, wide_chroma(d, 1), wide_chroma(d, 2), d->pixels);
    d->line++;
    return 1;
}

int ff_baseline_ended_well(const ff_baseline *d)
{
    return ff_scan_ended_well(&d->scan);
}
