/* buffer: scratch memory that only grows, aligned for any vector. */
#ifndef FF_BUFFER_H
#define FF_BUFFER_H

#include <stddef.h>

typedef struct ff_buffer { /* all zeros: empty */
    void *memory;
    size_t size;
} ff_buffer;

/* At least size bytes.  Where the buffer has to grow, its old contents are lost.  NULL: no memory. */
void *ff_buffer_need(ff_buffer *buffer, size_t size);
void ff_buffer_free(ff_buffer *buffer);

#endif
