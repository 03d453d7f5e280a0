/* sample: from an entry of the source table to a finished row; pauses where only Python can go on.
 *
 *   make -> 0                                  the row is finished
 *        -> FF_NEED_DECODE                     data, size: bytes that only PIL can read; then decoded()
 *        -> FF_NEED_CALL                       pixels: uint8 HWC for the user's callables; then called()
 *        -> negative FF_E_*                    the sample is bad; err says why
 *
 * The source table is a read-only mapping: u64 count, u64 kind, u64 offsets[count + 1] into the blob that follows;
 * kind 0 is NUL-terminated paths, kind 1 encoded bytes.
 */
#ifndef FF_SAMPLE_H
#define FF_SAMPLE_H

#include "image/image.h"

#define FF_NEED_DECODE 1
#define FF_NEED_CALL 2

enum ff_table_kind { FF_TABLE_PATHS = 0, FF_TABLE_BYTES = 1 };

typedef struct ff_table {
    uint64_t count, kind;
    const uint64_t *offsets;
    const uint8_t *blob;
    uint64_t blob_bytes;
} ff_table;

/* 0, or -1: the mapping is not a table. */
int ff_table_attach(ff_table *table, const void *base, uint64_t total);

typedef struct ff_sample {
    ff_image *image;
    ff_plan plan;
    ff_plan store; /* what follows the callables; used where has_calls is set */
    int has_calls;
    ff_table table;
    uint64_t seed;
    /* the sample in hand */
    ff_key key;
    void *row;
    const uint8_t *data;
    size_t size;
    uint8_t *pixels; /* out_h x out_w x 3 of plan, where has_calls is set */
    uint8_t *buffer; /* file contents; grows to the largest file */
    size_t capacity;
    uint64_t read_ns, bytes; /* since the owner last looked */
    char err[FF_ERR_LEN];
} ff_sample;

int ff_sample_init(ff_sample *sample, const ff_plan *plan, const ff_plan *store, const ff_table *table, uint64_t seed);
void ff_sample_free(ff_sample *sample);

int ff_sample_make(ff_sample *sample, uint64_t epoch, int64_t index, void *row);
int ff_sample_decoded(ff_sample *sample, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride);
int ff_sample_called(ff_sample *sample, const uint8_t *rgb, int64_t stride);

#endif
