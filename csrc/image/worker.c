/* worker: make the rows of one cell after the other.  Every shared store is followed by a kill point. */
#define _GNU_SOURCE
#include "image/worker.h"

#include <string.h>

#include "base/clock.h"
#include "ring/killpoint.h"

int ff_image_worker_finish(ff_image_worker *worker, int code)
{
    if (code == FF_STEP_CALL)
        return FF_STEP_CALL;
    ff_loop *loop = worker->loop;
    ff_sample *sample = worker->sample;
    ff_ring *ring = &loop->ring;
    if (code != 0) {
        uint8_t *row = ff_ring_row(ring, loop->claim.slot, worker->row);
        const size_t length = strnlen(sample->err, sizeof sample->err - 1);
        const int fits = length < ring->row_bytes;
        if (fits)
            memcpy(row, sample->err, length);
        row[fits ? length : 0] = '\0'; /* half a sentence may say the opposite: the code has a text of its own */
        FF_KILL_POINT(&ring->header->kill_hits, "reason");
    }
    ff_ring_status(ring, loop->claim.slot)[worker->row] = code == 0 ? FF_ROW_DONE : FF_ROW_FAILED(code);
    FF_KILL_POINT(&ring->header->kill_hits, "status");
    ff_loop_count(loop, 1, ff_now_ns() - loop->begun_ns - sample->reader.read_ns);
    ff_loop_count_read(loop, sample->reader.bytes, sample->reader.read_ns);
    sample->reader.bytes = sample->reader.read_ns = 0;
    worker->row++;
    return FF_STEP_DONE;
}

int ff_image_worker_run(ff_image_worker *worker)
{
    ff_loop *loop = worker->loop;
    ff_ring *ring = &loop->ring;
    for (;;) {
        if (!worker->busy) {
            int step = ff_loop_acquire(loop);
            if (step != FF_STEP_DONE)
                return step;
            worker->busy = 1;
            worker->row = loop->claim.first_row;
        }
        const uint32_t slot = loop->claim.slot;
        const uint64_t epoch = ff_ring_descriptor(ring, slot)->epoch;
        const uint8_t *status = ff_ring_status(ring, slot);
        while (worker->row < loop->claim.end_row) {
            if (status[worker->row] == FF_ROW_FAILED(FF_E_POISON)) {
                worker->row++;
                continue;
            }
            ff_loop_note(loop, worker->row);
            int code = ff_sample_make(worker->sample, epoch, ff_ring_index(ring, slot)[worker->row],
                                      ff_ring_row(ring, slot, worker->row));
            FF_KILL_POINT(&ring->header->kill_hits, "pixels");
            if (code == FF_STEP_DECODE)
                return FF_STEP_DECODE;
            if (ff_image_worker_finish(worker, code) == FF_STEP_CALL)
                return FF_STEP_CALL;
        }
        worker->busy = 0;
        if (ff_loop_publish(loop) != FF_STEP_DONE)
            return FF_STEP_LOST;
    }
}
