/* read: the bytes of one sample, from its entry in the source table. */
#ifndef FF_READ_H
#define FF_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/codes.h"
#include "source/table.h"

typedef struct ff_reader { /* all zeros: nothing read yet */
    const uint8_t *data; /* of the sample last read: in the table, or in buffer */
    size_t size;
    int partial; /* data is only the beginning */
    uint8_t *buffer; /* contents of a file; grows to the largest one */
    size_t capacity;
    uint64_t read_ns, bytes; /* since the owner last looked */
} ff_reader;

void ff_reader_free(ff_reader *reader);

#define FF_READ_LARGE (4 << 20)
#define FF_READ_BEGINNING (64 << 10)

/* Sample number index to data and size.  A file larger than max_bytes is refused.  Of one larger than FF_READ_LARGE only
 * the beginning is read, unless all is set: it may be no image. */
int ff_reader_read(ff_reader *reader, const ff_table *table, int64_t index, int64_t max_bytes, int all,
                   char err[FF_ERR_LEN]);

#endif
