/* table: take a mapping for a table, once its numbers agree with its size. */
#include "source/table.h"

int ff_table_attach(ff_table *table, const void *base, uint64_t total)
{
    const uint64_t *words = base;
    if (total < 24 || words[0] > (total - 24) / 8 || words[1] >= FF_TABLE_KINDS)
        return -1;
    table->count = words[0];
    table->kind = words[1];
    table->offsets = words + 2;
    table->blob = (const uint8_t *)(table->offsets + table->count + 1);
    table->blob_bytes = total - (table->count + 3) * 8;
    return 0;
}
