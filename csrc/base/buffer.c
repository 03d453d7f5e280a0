/* buffer: grow by an eighth more than is needed, in whole pages. */
#include "base/buffer.h"

#include <stdint.h>
#include <stdlib.h>

void *ff_buffer_need(ff_buffer *buffer, size_t size)
{
    if (size > buffer->size) {
        if (size > SIZE_MAX / 2)
            return NULL;
        free(buffer->memory);
        buffer->size = 0;
        const size_t rounded = (size + size / 8 + 4095) & ~(size_t)4095;
        buffer->memory = aligned_alloc(4096, rounded);
        if (buffer->memory == NULL)
            return NULL;
        buffer->size = rounded;
    }
    return buffer->memory;
}

void ff_buffer_free(ff_buffer *buffer)
{
    free(buffer->memory);
    buffer->memory = NULL;
    buffer->size = 0;
}
