/* worker: the table worker: rows of claimed cells, picked by index. */
#ifndef FF_TABLE_WORKER_H
#define FF_TABLE_WORKER_H

#include "ring/loop.h"
#include "table/gather.h"

/* Fill cells until the feed stops: FF_STEP_STOP or FF_STEP_LOST.  The rows of a cell succeed or fail together. */
int ff_gather_run(ff_loop *loop, const ff_gather *gather);

#endif
