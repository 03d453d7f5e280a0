/* lowpass: Huffman decoding of the first coefficients of each block, and their share in the means of its parts. */
#if defined(__GNUC__) && !defined(__clang__)
/* The short loops over a block's parts must be unrolled; clang does so at -O2, and a fifth of the time hangs on it. */
#pragma GCC optimize("O3")
#endif

#include "jpeg/lowpass.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jpeg/huffman.h"

#define PI 3.14159265358979323846

#define PARTS 4       /* a block becomes at most 4 x 4 pixels */
#define KEPT 25       /* coefficients kept at most: in zigzag order, as far as frequency (3, 3) */
#define LOWEST 5      /* kept where a block becomes 2 x 2: as far as (1, 1); the next ones tell little */

/* Row and column of the first coefficients in zigzag order. */
static const uint8_t ZIGZAG[KEPT][2] = {
    {0, 0}, {0, 1}, {1, 0}, {2, 0}, {1, 1}, {0, 2}, {0, 3}, {1, 2}, {2, 1}, {3, 0}, {4, 0}, {3, 1}, {2, 2},
    {1, 3}, {0, 4}, {0, 5}, {1, 4}, {2, 3}, {3, 2}, {4, 1}, {5, 0}, {6, 0}, {5, 1}, {4, 2}, {3, 3},
};

typedef float four __attribute__((vector_size(16))); /* four parts at once, on any machine */
typedef int32_t four_ints __attribute__((vector_size(16)));

typedef struct component {
    int h, v;           /* blocks in an MCU */
    int parts_x, parts_y;
    int keep;           /* coefficients that count */
    const ff_huffman *dc, *ac;
    int32_t predicted;
    /* What a coefficient adds to each part: quantiser, scale and mean of its wave. */
    four share[KEPT][PARTS];
    int vectors; /* of share that are in use: 1 where parts_x * parts_y is at most 4 */
    uint8_t *plane;     /* the MCU row in hand */
    size_t stride;
} component;

struct ff_lowpass {
    const uint8_t *next, *end;
    uint64_t bits;      /* left-aligned */
    int have, padding;  /* valid bits, and how many of those are made up behind a marker */
    int n_components;
    component component[3];
    ff_huffman dc[4], ac[4];
    unsigned interval, to_restart, restarts;
    int64_t mcus_x, mcus_y, mcu_row;
    int64_t used_low, used_high; /* MCU columns that matter */
    int64_t width, row_lines, line; /* lines in an MCU row; the next one to give */
    int64_t skip;       /* lines still to pass over */
    uint8_t *memory;
    size_t size;
};

ff_lowpass *ff_lowpass_new(void)
{
    return calloc(1, sizeof(ff_lowpass));
}

void ff_lowpass_free(ff_lowpass *l)
{
    if (l == NULL)
        return;
    free(l->memory);
    free(l);
}

/* ---- tables ---- */

/* The mean of wave u (of 8 samples, as the inverse transform scales it) over part x of parts. */
static double mean_of_wave(int u, int x, int parts)
{
    const int wide = 8 / parts;
    double sum = 0.0;
    for (int k = x * wide; k < (x + 1) * wide; k++)
        sum += cos((2 * k + 1) * u * PI / 16.0);
    return sum / wide * (u == 0 ? sqrt(0.125) : 0.5);
}

static void make_shares(component *c, const JQUANT_TBL *quantiser)
{
    double wave_x[8][PARTS], wave_y[8][PARTS];
    for (int u = 0; u < 8; u++)
        for (int k = 0; k < PARTS; k++) {
            wave_x[u][k] = k < c->parts_x ? mean_of_wave(u, k, c->parts_x) : 0.0;
            wave_y[u][k] = k < c->parts_y ? mean_of_wave(u, k, c->parts_y) : 0.0;
        }
    for (int k = 0; k < KEPT; k++) {
        const int v = ZIGZAG[k][0], u = ZIGZAG[k][1];
        /* libjpeg keeps quantisers in natural order */
        for (int y = 0; y < c->parts_y; y++)
            for (int x = 0; x < c->parts_x; x++) {
                const int part = y * c->parts_x + x;
                c->share[k][part / 4][part % 4] = (float)(quantiser->quantval[8 * v + u] * wave_x[u][x] * wave_y[v][y]);
            }
    }
    c->vectors = c->parts_x * c->parts_y > 4 ? PARTS : 1;
    const int most = c->parts_x > c->parts_y ? c->parts_x : c->parts_y;
    c->keep = most == 1 ? 1 : most == 2 ? LOWEST : KEPT;
}

int ff_lowpass_takes(const struct jpeg_decompress_struct *c)
{
    if (c->progressive_mode || c->arith_code || c->data_precision != 8 || c->comps_in_scan != c->num_components ||
        c->Ss != 0 || c->Se != 63 || c->Ah != 0 || c->Al != 0)
        return 0;
    if (c->num_components == 1)
        return c->jpeg_color_space == JCS_GRAYSCALE;
    return c->num_components == 3 && c->jpeg_color_space == JCS_YCbCr && c->comp_info[0].h_samp_factor <= 2 &&
           c->comp_info[0].v_samp_factor <= 2;
}

int ff_lowpass_begin(ff_lowpass *l, const struct jpeg_decompress_struct *c, int denominator, const ff_window *window)
{
    if (denominator < 4 || !ff_lowpass_takes(c))
        return 0;
    const int n = c->num_components, one = n == 1;
    const int max_h = one ? 1 : c->comp_info[0].h_samp_factor, max_v = one ? 1 : c->comp_info[0].v_samp_factor;
    const int64_t mcu_w = 8 * max_h, mcu_h = 8 * max_v;
    l->mcus_x = (c->image_width + mcu_w - 1) / mcu_w;
    l->mcus_y = (c->image_height + mcu_h - 1) / mcu_h;
    l->width = ff_jpeg_reduced(c->image_width, denominator);
    l->row_lines = mcu_h / denominator;

    size_t total = 0;
    unsigned made_dc = 0, made_ac = 0;
    for (int k = 0; k < n; k++) {
        const jpeg_component_info *info = c->cur_comp_info[k];
        component *m = &l->component[k];
        if (info != &c->comp_info[k] || (k > 0 && (info->h_samp_factor != 1 || info->v_samp_factor != 1)))
            return 0;
        const int dc = info->dc_tbl_no, ac = info->ac_tbl_no, q = info->quant_tbl_no;
        if (dc < 0 || dc > 3 || ac < 0 || ac > 3 || q < 0 || q > 3 || c->dc_huff_tbl_ptrs[dc] == NULL ||
            c->ac_huff_tbl_ptrs[ac] == NULL || c->quant_tbl_ptrs[q] == NULL)
            return 0;
        if (!(made_dc >> dc & 1) && !ff_huffman_make(&l->dc[dc], c->dc_huff_tbl_ptrs[dc], 1))
            return 0;
        if (!(made_ac >> ac & 1) && !ff_huffman_make(&l->ac[ac], c->ac_huff_tbl_ptrs[ac], 0))
            return 0;
        made_dc |= 1u << dc;
        made_ac |= 1u << ac;
        m->dc = &l->dc[dc];
        m->ac = &l->ac[ac];
        m->h = one || k > 0 ? 1 : max_h;
        m->v = one || k > 0 ? 1 : max_v;
        m->parts_x = (int)(mcu_w / denominator) / m->h;
        m->parts_y = (int)(mcu_h / denominator) / m->v;
        m->predicted = 0;
        make_shares(m, c->quant_tbl_ptrs[q]);
        m->stride = (size_t)(l->mcus_x * mcu_w / denominator) + 64;
        total += m->stride * (size_t)l->row_lines;
    }
    if (total > l->size) {
        free(l->memory);
        l->size = 0;
        l->memory = calloc(1, total);
        if (l->memory == NULL)
            return 0;
        l->size = total;
    }
    uint8_t *memory = l->memory;
    for (int k = 0; k < n; k++) {
        l->component[k].plane = memory;
        memory += l->component[k].stride * (size_t)l->row_lines;
    }

    l->n_components = n;
    l->next = c->src->next_input_byte;
    l->end = l->next + c->src->bytes_in_buffer;
    l->bits = 0;
    l->have = l->padding = 0;
    l->interval = l->to_restart = c->restart_interval;
    l->restarts = 0;
    l->mcu_row = 0;
    l->line = l->row_lines;
    l->skip = window->y0;
    l->used_low = window->x0 * denominator / mcu_w;
    l->used_high = (window->x1 * denominator + mcu_w - 1) / mcu_w;
    return 1;
}

/* ---- blocks ---- */

static inline __attribute__((always_inline)) int read_block(ff_bits *at, component *c, int vectors, four sums[PARTS])
{
    ff_bits r = *at; /* a copy whose address nobody has stays in registers */
    if (r.have < 32)
        ff_refill(&r);
    unsigned symbol = ff_symbol_of(&r, c->dc);
    if (symbol == 0)
        return 0;
    ff_drop(&r, (int)(symbol >> 8));
    if ((symbol & 15) != 0)
        c->predicted = (int16_t)(c->predicted + ff_value_of(&r, symbol & 15));
    const float level = (float)c->predicted;
    for (int p = 0; p < vectors; p++)
        sums[p] = 128.0f + level * c->share[0][p];

    const ff_huffman *ac = c->ac;
    int k = 0; /* the coefficient last passed */
    while (k < 63) {
        if (r.have < 32)
            ff_refill(&r);
        const unsigned look = (unsigned)(r.bits >> (64 - FF_LOOK));
        int32_t value;
        if (k + 1 >= c->keep) { /* only steps from here on */
            const unsigned steps = ac->steps[look];
            const int after = k + (int)(steps >> 8);
            /* A block that is full has no end code: what looks like one begins the next block. */
            if (steps != 0 && (after < 63 || (after == 63 && !(steps & 0x80)))) {
                ff_drop(&r, steps & 0x7f);
                k = after;
                if (steps & 0x80)
                    break;
                continue;
            }
        }
        const int32_t valued = ac->valued[look];
        if (valued != 0) {
            ff_drop(&r, valued & 0xff);
            k += valued >> 8 & 0xff;
            value = valued >> 16;
        } else {
            symbol = ff_symbol_of(&r, ac);
            if (symbol == 0)
                return 0;
            ff_drop(&r, (int)(symbol >> 8));
            const int n = symbol & 15, run = symbol >> 4 & 15;
            if (n == 0 && run != 15)
                break;
            k += run + 1;
            if (n == 0)
                continue;
            value = ff_value_of(&r, n);
        }
        if (k < c->keep)
            for (int p = 0; p < vectors; p++)
                sums[p] += (float)value * c->share[k][p];
    }
    *at = r;
    return k <= 63;
}

/* Pixels of a block's parts to its place in the plane. */
static inline __attribute__((always_inline)) void put_block(const component *c, int vectors, const four sums[PARTS],
                                                            uint8_t *to)
{
    uint8_t pixels[4 * PARTS];
    for (int p = 0; p < vectors; p++) {
        const four_ints v = __builtin_convertvector(sums[p] + 0.5f, four_ints);
        for (int i = 0; i < 4; i++)
            pixels[4 * p + i] = (uint8_t)(v[i] < 0 ? 0 : v[i] > 255 ? 255 : v[i]);
    }
    for (int y = 0; y < c->parts_y; y++, to += c->stride)
        for (int x = 0; x < c->parts_x; x++)
            to[x] = pixels[y * c->parts_x + x];
}

static int restart(ff_lowpass *l, ff_bits *r)
{
    if (r->padding > r->have)
        return 0;
    /* Whole bytes read ahead are of this interval: a marker stops the reader, and made-up bits follow it. */
    if (r->have - r->padding >= 8 || r->end - r->next < 2 || r->next[0] != 0xff || r->next[1] != 0xd0 + (l->restarts & 7))
        return 0;
    r->next += 2;
    r->bits = 0;
    r->have = r->padding = 0;
    l->restarts++;
    l->to_restart = l->interval;
    for (int k = 0; k < l->n_components; k++)
        l->component[k].predicted = 0;
    return 1;
}

static int read_mcu_row(ff_lowpass *l)
{
    ff_bits r = {l->next, l->end, l->bits, l->have, l->padding};
    const int wanted = l->skip < l->row_lines;
    for (int64_t x = 0; x < l->mcus_x; x++) {
        if (l->interval != 0) {
            if (l->to_restart == 0) {
                ff_refill_slowly(&r);
                if (!restart(l, &r))
                    return 0;
            }
            l->to_restart--;
        }
        const int used = wanted && x >= l->used_low && x < l->used_high;
        for (int k = 0; k < l->n_components; k++) {
            component *c = &l->component[k];
            for (int block = 0; block < c->h * c->v; block++) {
                four sums[PARTS] = {{0.0f}};
                if (!(c->vectors == 1 ? read_block(&r, c, 1, sums) : read_block(&r, c, PARTS, sums)))
                    return 0;
                if (!used)
                    continue;
                const int64_t column = (x * c->h + block % c->h) * c->parts_x, row = block / c->h * c->parts_y;
                uint8_t *to = c->plane + (size_t)row * c->stride + (size_t)column;
                if (c->vectors == 1)
                    put_block(c, 1, sums, to);
                else
                    put_block(c, PARTS, sums, to);
            }
        }
    }
    if (r.padding > r.have)
        return 0;
    l->next = r.next;
    l->bits = r.bits;
    l->have = r.have;
    l->padding = r.padding;
    return 1;
}

static inline uint8_t clipped(int32_t v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* JFIF's YCbCr, in 16-bit fixed point. */
static void put_rgb(uint8_t *rgb, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int64_t n)
{
    for (int64_t i = 0; i < n; i++, rgb += 3) {
        const int32_t level = (y[i] << 16) + (1 << 15), b = cb[i] - 128, r = cr[i] - 128;
        rgb[0] = clipped((level + 91881 * r) >> 16);
        rgb[1] = clipped((level - 22554 * b - 46802 * r) >> 16);
        rgb[2] = clipped((level + 116130 * b) >> 16);
    }
}

int ff_lowpass_lines(ff_lowpass *l, uint8_t **lines, int n)
{
    int got = 0;
    while (got < n) {
        if (l->line == l->row_lines) {
            if (got > 0)
                break;
            if (l->mcu_row == l->mcus_y || !read_mcu_row(l))
                return 0;
            l->mcu_row++;
            l->line = l->skip < l->row_lines ? l->skip : l->row_lines;
            l->skip -= l->line;
            continue;
        }
        const component *c = l->component;
        const size_t at = (size_t)l->line++;
        if (l->n_components == 1)
            memcpy(lines[got++], c[0].plane + at * c[0].stride, (size_t)l->width);
        else
            put_rgb(lines[got++], c[0].plane + at * c[0].stride, c[1].plane + at * c[1].stride,
                    c[2].plane + at * c[2].stride, l->width);
    }
    return got;
}

int ff_lowpass_lines_at_once(const ff_lowpass *l)
{
    return (int)l->row_lines;
}

int ff_lowpass_ended_well(ff_lowpass *l)
{
    ff_bits r = {l->next, l->end, l->bits, l->have, l->padding};
    ff_refill_slowly(&r);
    for (const uint8_t *p = r.next; p + 1 < r.end; p++) {
        if (p[0] != 0xff || p[1] == 0xff)
            continue;
        if (p[1] == 0xd9)
            return 1;
        if (p[1] > 0x01 && (p[1] < 0xd0 || p[1] > 0xd7))
            return 0;
        p++;
    }
    return 0;
}
