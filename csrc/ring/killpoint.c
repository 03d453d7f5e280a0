/* killpoint: the test build's half of killpoint.h. */
#include "ring/killpoint.h"

#ifdef FF_KILL_POINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

void ff_kill_point(ff_counter *hits, const char *point)
{
    const char *at = getenv("FF_KILL_AT");
    size_t length = strlen(point);
    if (at == NULL || strncmp(at, point, length) != 0 || at[length] != ':')
        return;
    if (ff_counter_pass(hits) == strtoull(at + length + 1, NULL, 10))
        raise(SIGKILL);
}
#else
typedef int ff_killpoint_is_empty; /* ISO C wants a declaration in every file */
#endif
