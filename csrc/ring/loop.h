/* loop: what every kind of worker does with the ring: claim a cell, say what is in hand, publish, count.
 *
 *   acquire -> note -> (the work) -> count -> publish or reply -> acquire -> ...
 *
 * The image worker and the table worker fill rows and publish; a worker that runs the user's functions replies with a
 * payload.  A step is FF_STEP_DONE unless the comment names others.
 */
#ifndef FF_LOOP_H
#define FF_LOOP_H

#include "base/step.h"
#include "ring/ring.h"

typedef struct ff_loop {
    ff_ring ring;
    unsigned number; /* from 0; its owner number is one more */
    int work_fd, ready_fd;
    int timer; /* see the note on owing in ring.h; -1: there is none */
    uint64_t patience_ns; /* looks for a cell for so long before it goes to sleep: for work that comes in microseconds */
    ff_claim claim;
    uint64_t begun_ns; /* when the row in hand was noted */
} ff_loop;

/* Tell the consumer that this worker has reached its loop. */
void ff_loop_attach(ff_loop *loop);
/* Say that the worker has left its loop and is closing what the user's code left open. */
void ff_loop_detach(ff_loop *loop);

/* Claim a cell, asleep while there is none: or FF_STEP_STOP, or FF_STEP_LOST. */
int ff_loop_acquire(ff_loop *loop);

/* Say which row, or item of the row's payload, is in hand from now on. */
void ff_loop_note(ff_loop *loop, uint32_t row);

/* Add to this worker's counters. */
void ff_loop_count(ff_loop *loop, uint64_t samples, uint64_t work_ns);
void ff_loop_count_read(ff_loop *loop, uint64_t bytes, uint64_t read_ns);

/* The rows of the claimed cell are done: publish it, and wake the consumer where it waits for this; or FF_STEP_LOST. */
int ff_loop_publish(ff_loop *loop);

/* Publish a slot that carries a payload of used bytes; code is 0 or an FF_E_* number.  Or FF_STEP_LOST. */
int ff_loop_reply(ff_loop *loop, uint64_t used, int code);

#endif
