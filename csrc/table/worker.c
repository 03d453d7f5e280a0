/* worker: gather the rows of one cell after the other. */
#include "table/worker.h"

#include <string.h>

#include "base/clock.h"
#include "base/codes.h"
#include "ring/killpoint.h"

int ff_gather_run(ff_loop *loop, const ff_gather *gather)
{
    ff_ring *ring = &loop->ring;
    for (;;) {
        const int step = ff_loop_acquire(loop);
        if (step != FF_STEP_DONE)
            return step;
        const uint32_t slot = loop->claim.slot, first = loop->claim.first_row;
        uint8_t *status = ff_ring_status(ring, slot);
        /* A damaged descriptor may have made the cell empty. */
        const uint32_t rows = loop->claim.end_row > first ? loop->claim.end_row - first : 0;
        /* Poison marks a whole batch. */
        if (rows > 0 && status[first] != FF_ROW_FAILED(FF_E_POISON)) {
            ff_loop_note(loop, first);
            int code = ff_gather_rows(gather, ff_ring_index(ring, slot) + first, rows, ff_ring_row(ring, slot, 0), first,
                                      ring->slot_stride);
            FF_KILL_POINT(&ring->header->kill_hits, "pixels");
            memset(status + first, code == 0 ? FF_ROW_DONE : FF_ROW_FAILED(code), rows);
            FF_KILL_POINT(&ring->header->kill_hits, "status");
            ff_loop_count(loop, rows, ff_now_ns() - loop->begun_ns);
        }
        if (ff_loop_publish(loop) != FF_STEP_DONE)
            return FF_STEP_LOST;
    }
}
