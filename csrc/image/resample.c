/* resample: the loop that turns source rows into stored rows. */
#include "image/resample.h"

#include <string.h>

void ff_resampler_free(ff_resampler *r)
{
    ff_taps_free(&r->x);
    ff_taps_free(&r->y);
    ff_buffer_free(&r->ring);
    ff_buffer_free(&r->row);
    ff_buffer_free(&r->pointers);
}

#define LINE_OFFSET 8
#define NO_MEMORY "no memory for the rows between decoder and resampler"

int ff_resample(ff_resampler *r, const ff_loops *loops, const ff_lines *lines, const ff_tap_table *x, const ff_tap_table *y,
                const ff_store *store, char err[FF_ERR_LEN])
{
    const int64_t columns = (x->high - x->low) * lines->channels, skip = (x->low - lines->left) * lines->channels;
    /* Values of the 16-bit row: padded, so that taps of weight zero read zeros and not what was there before. */
    const size_t wide = (size_t)(x->high - x->low) * 3, slack = (size_t)x->taps.width * 3 + FF_ACROSS_SLACK + 64;
    int16_t *row = ff_buffer_need(&r->row, 2 * (wide + slack) * sizeof(int16_t));
    const uint8_t **pointers = ff_buffer_need(&r->pointers, ((size_t)y->taps.width + 2) * sizeof *pointers);
    if (row == NULL || pointers == NULL)
        return ff_fail(err, FF_E_MEMORY, NO_MEMORY);
    int16_t *grey = row + wide + slack;
    memset(row + wide, 0, slack * sizeof(int16_t));

    /* The ring holds the rows of one output row and those that the decoder gives on top; a power of two of them.  A
     * line's stride is an odd number of cache lines: a power of two would put all rows into the same few sets.  Lines
     * begin LINE_OFFSET bytes off a multiple of 16, see ff_jpeg_lines: that is worth a fifth of the whole time. */
    size_t depth = 1, stride = 0;
    uint8_t *ring = NULL;
    if (lines->base == NULL) {
        while (depth < (size_t)y->taps.width + (size_t)lines->at_once)
            depth *= 2;
        stride = ((lines->line_bytes + LINE_OFFSET + 127) / 64 | 1) * 64;
        if (stride > SIZE_MAX / 2 / depth)
            return ff_fail(err, FF_E_MEMORY, NO_MEMORY);
        ring = ff_buffer_need(&r->ring, stride * depth);
        if (ring == NULL)
            return ff_fail(err, FF_E_MEMORY, NO_MEMORY);
        ring += LINE_OFFSET;
    }

    int64_t have = y->low; /* rows below this one have arrived */
    const int32_t shift = FF_COEF_BITS - y->taps.mid_bits;
    for (int32_t i = 0; i < y->taps.count; i++) {
        const int64_t start = y->taps.start[i];
        const int32_t n = y->taps.length[i], taps = (n + 1) & ~1;
        if (ring != NULL) {
            while (have < start + n) {
                uint8_t *next[16];
                const int most = lines->at_once < 16 ? lines->at_once : 16;
                for (int k = 0; k < most; k++)
                    next[k] = ring + ((size_t)(have + k) & (depth - 1)) * stride;
                const int got = lines->read(lines->from, next, most, err);
                if (got < 0)
                    return got;
                have += got;
            }
            for (int32_t k = 0; k < n; k++)
                pointers[k] = ring + ((size_t)(start + k) & (depth - 1)) * stride + skip;
        } else {
            for (int32_t k = 0; k < n; k++)
                pointers[k] = lines->base + (start + k) * lines->stride + skip;
        }
        pointers[n] = pointers[n - 1]; /* of weight zero, where n is odd */
        const int16_t *coef = y->taps.coef + (size_t)i * (size_t)y->taps.width;
        if (lines->channels == 1) {
            loops->vertical(grey, pointers, coef, taps, columns, shift);
            loops->triple(row, grey, columns);
            memset(row + wide, 0, 16 * sizeof(int16_t));
        } else {
            loops->vertical(row, pointers, coef, taps, columns, shift);
        }
        ff_store_row(store, y->reversed ? y->taps.count - 1 - i : i, row, &x->taps);
    }
    return FF_OK;
}
