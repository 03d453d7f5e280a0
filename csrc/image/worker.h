/* worker: the image worker's loop: wait, claim, make rows, publish; stops for Python where a row needs it. */
#ifndef FF_WORKER_H
#define FF_WORKER_H

#include "ring/ring.h"
#include "image/sample.h"

enum ff_step {
    FF_STEP_STOP = 0,   /* the feed is closing */
    FF_STEP_DECODE = 1, /* FF_NEED_DECODE for the row in hand */
    FF_STEP_CALL = 2,   /* FF_NEED_CALL for the row in hand */
    FF_STEP_LOST = -1   /* the ring is not what it should be; leave */
};

typedef struct ff_worker {
    ff_ring ring;
    ff_sample sample;
    unsigned number; /* from 0; its owner number is one more */
    int work_fd, ready_fd;
    uint64_t patience_ns; /* looks so long for a cell before it goes to sleep: for work that comes in microseconds */
    ff_claim claim;
    uint32_t row; /* in hand, of claim.slot */
    int busy;     /* a cell is claimed */
    uint64_t begun_ns, samples, idle_ns, work_ns;
} ff_worker;

/* Process-wide settling in: no core dumps, first to go when memory runs out, a thread that ends this process when the
 * consumer's pidfd says that it is gone, interrupts ignored, descriptors above last_fd closed and the others kept from
 * this process's own children.  0, or a negative errno. */
int ff_worker_settle(int consumer_pidfd, unsigned number, int last_fd);

/* For workers that run the user's code: let free() keep some megabytes for the next item.  glibc starts by giving what is
 * freed at the end of the heap back to the system, and the next item pays for it with page faults, until a block beyond
 * its limits is freed and raises them: mallopt(3), M_MMAP_THRESHOLD.  Elsewhere this does nothing. */
void ff_worker_keep_heap(void);

/* For workers that run Python, a cell at a time.  Claim one, asleep while there is none: 1, 0 to stop, -1 lost; then,
 * its rows done, publish it: 0, -1 lost. */
int ff_worker_acquire(ff_worker *worker);
int ff_worker_publish(ff_worker *worker);

/* Publish a slot that carries a payload of used bytes; code is 0 or an FF_E_* number.  0, -1 lost. */
int ff_worker_reply(ff_worker *worker, uint64_t used, int code);

/* Add to this worker's counters. */
void ff_worker_count(ff_worker *worker, uint64_t samples, uint64_t work_ns);

/* Say which row, or item of the row's payload, is in hand from now on. */
void ff_worker_note(ff_worker *worker, uint32_t row);

/* Run until Python is needed or the feed stops: an ff_step. */
int ff_worker_run(ff_worker *worker);

/* Finish the row in hand with what ff_sample_decoded or ff_sample_called returned (FF_STEP_CALL where callables come
 * next, otherwise 0: call ff_worker_run again), or with an FF_E_* code and a reason. */
int ff_worker_finish(ff_worker *worker, int code);

#endif
