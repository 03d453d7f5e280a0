/* worker: the image worker: rows of claimed cells through ff_sample; pauses where a row needs Python. */
#ifndef FF_IMAGE_WORKER_H
#define FF_IMAGE_WORKER_H

#include "image/sample.h"
#include "ring/loop.h"

typedef struct ff_image_worker {
    ff_loop *loop;
    ff_sample *sample;
    int busy;     /* a cell is claimed; then: */
    uint32_t row; /* the one in hand, of the claimed slot */
} ff_image_worker;

/* Run until Python is needed or the feed stops: FF_STEP_DECODE or FF_STEP_CALL for the row in hand, FF_STEP_STOP,
 * FF_STEP_LOST. */
int ff_image_worker_run(ff_image_worker *worker);

/* Finish the row in hand with what ff_sample_decoded or ff_sample_called returned, or with an FF_E_* code and a reason in
 * sample->err.  FF_STEP_CALL where callables come next, otherwise FF_STEP_DONE: run again. */
int ff_image_worker_finish(ff_image_worker *worker, int code);

#endif
