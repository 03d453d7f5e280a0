/* copy: bytes into a slot; those of a large batch go past the caches, which they would only pass through. */
#ifndef FF_COPY_H
#define FF_COPY_H

#include <stddef.h>

/* A batch of this size has left the caches before its slot's turn comes again, and storing to it in the usual way would
 * read every line of it from memory first.  Smaller ones a consumer on another processor may still find there: with
 * four slots of 16 MB it then reads them at 13 GB/s instead of 9, from 32 MB on there is no difference to it, while the
 * copy itself gains a half (Xeon, 2 MB of second-level cache). */
#define FF_COPY_LARGE ((size_t)32 << 20)

/* Copy `size` bytes that do not overlap and are part of a batch of `whole` bytes. */
void ff_copy(void *to, const void *from, size_t size, size_t whole);

#endif
