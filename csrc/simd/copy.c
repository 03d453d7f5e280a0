/* copy: memcpy, or stores that do not read what they overwrite. */
#include "simd/copy.h"

#include <string.h>

#include "simd/cpu.h"

/* Shorter pieces are not worth waiting for their stores at the end. */
#define PIECE 4096

void ff_copy(void *to, const void *from, size_t size, size_t whole)
{
    if (whole < FF_COPY_LARGE || size < PIECE) {
        memcpy(to, from, size);
        return;
    }
    const ff_loops *loops = ff_loops_active();
    loops->stream(to, from, size);
    loops->settle();
}
