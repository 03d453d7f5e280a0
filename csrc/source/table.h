/* table: where the samples of a source are, for every process that reads them.
 *
 *   u64 count | u64 kind | u64 offsets[count + 1] | blob        (a read-only mapping, native byte order)
 *
 * Sample i is bytes offsets[i] .. offsets[i + 1] of the blob; kind says what they are.
 */
#ifndef FF_TABLE_H
#define FF_TABLE_H

#include <stdint.h>

enum ff_table_kind {
    FF_TABLE_PATHS = 0, /* the NUL-terminated path of a file */
    FF_TABLE_BYTES = 1, /* the encoded sample itself */
    FF_TABLE_KINDS
};

typedef struct ff_table {
    uint64_t count, kind;
    const uint64_t *offsets;
    const uint8_t *blob;
    uint64_t blob_bytes;
} ff_table;

/* 0, or -1: the mapping is not a table. */
int ff_table_attach(ff_table *table, const void *base, uint64_t total);

#endif
