/* killpoint: named places where a test build can end a worker; nothing at all in a normal build.
 *
 * FF_KILL_AT=<point>:<n> kills, with SIGKILL, the worker that is the n-th (from 1) of all workers of its ring to pass
 * <point>.  The count, hits, lives in the ring, so a replacement does not die at the same place again.
 */
#ifndef FF_KILLPOINT_H
#define FF_KILLPOINT_H

#ifdef FF_KILL_POINTS
#include "ring/order.h"
void ff_kill_point(ff_counter *hits, const char *point);
#define FF_KILL_POINT(hits, point) ff_kill_point(hits, point)
#else
#define FF_KILL_POINT(hits, point) ((void)0)
#endif

#endif
