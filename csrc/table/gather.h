/* gather: rows of tables, picked by index, into a slot.
 *
 *   column 0  row row row ...        slot   [rows of column 0] pad [rows of column 1] pad ...
 *   column 1  row row row ...               each begins at its slot_at, the rows one behind the other
 *
 * A column lies in memory (base), or is read from its file row by row (base is NULL).  The caller owns the columns, what
 * they point to, and their descriptors.
 */
#ifndef FF_GATHER_H
#define FF_GATHER_H

#include <stdint.h>

typedef struct ff_column {
    const uint8_t *base; /* the first row, or NULL */
    int64_t offset;      /* of the first row in the file, where base is NULL */
    int64_t stride;      /* from a row to the next one; negative in an array that runs backwards */
    uint64_t row_bytes;
    uint64_t slot_at;
    int fd;              /* -1: memory that stays as it is */
    uint64_t end;        /* of its last byte in the file: a shorter file has shrunk */
    int slow;            /* the last rows came from the disk: ask for all of the next ones before waiting for the first */
} ff_column;

typedef struct ff_gather {
    uint64_t samples; /* indices are below it */
    ff_column *columns;
    uint32_t count;
} ff_gather;

/* Rows index[0..rows) of every column, to the rows of the slot from first on; `whole` is the size of the batch.  0;
 * FF_E_TRUNCATED where a file has shrunk; FF_E_OPEN where it cannot be read; FF_E_LIMIT where an index is none. */
int ff_gather_rows(const ff_gather *gather, const int64_t *index, uint32_t rows, uint8_t *slot, uint32_t first,
                   uint64_t whole);

#endif
