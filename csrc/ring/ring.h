/* ring: the shared-memory ring between one consumer and its workers; the ordering of its memory is in order.h.
 *
 *   +--------+--------------+-----------------+----------------------------+--------+--------+----
 *   | header | worker table | cells: u64 each | descriptors, one a slot    | slot 0 | slot 1 | ...
 *   +--------+--------------+-----------------+----------------------------+--------+--------+----
 *     1 page   128 B each     slots x cells     sequence, epoch, rows,       page-aligned, rows x row_bytes
 *                                               index column, status column
 *
 *   cell word   63    60 59       48 47            32 31                 0
 *              +--------+-----------+----------------+--------------------+
 *              | state  |   owner   |   generation   |      sequence      |
 *              +--------+-----------+----------------+--------------------+
 *
 *   FREE -> OPEN -> WRITING(owner) -> READY -> LEASED -> FREE
 *    consumer  worker CAS     worker CAS  consumer   consumer
 *
 * A cell is a run of rows of one slot.  sequence says which batch sits there, generation how often the cell has been
 * opened.  A slot's batch is complete when every cell of it is READY with that slot's sequence; no counter says so.
 *
 * Who may write what
 *   consumer  the descriptor and the index column while its cells are FREE; FREE -> OPEN; READY -> LEASED -> FREE;
 *             WRITING -> OPEN of a dead owner, but only after that process is reaped.
 *   worker    its own table entry; OPEN -> WRITING(itself), WRITING(itself) -> READY; rows and status of its cells.
 *
 * Waking: asleep flags and the waiting flag follow Dekker's rule.  A worker sets asleep, then looks at the cells once
 * more, then blocks in read(work eventfd); the consumer opens cells, then looks at the asleep flags and posts one token
 * for each.  A worker publishes READY, then looks at waiting; the consumer sets waiting, then looks at the cells once
 * more, then polls.  All four are sequentially consistent, so one of the two always sees the other.  A dead worker may
 * have taken a token with it: after each death the consumer posts again for every sleeper.  After a loop was left,
 * slots drain cell by cell and no batch of theirs will be complete: with nothing else to wait for, the consumer asks for
 * a signal at every cell (FF_WAIT_CELL), and looks for a free slot once more before it polls.
 *
 * Holding back: where units are small, to wake the consumer for each costs more than the work.  It waits for several
 * (FF_WAIT_SEVERAL) then: who completes a batch signals if so many are complete, and who finds nothing to claim signals if
 * any is, before it looks on or sleeps.  So what is complete is told at the latest when the worker that
 * completed it has run out of work; should that take long, the consumer looks by itself after a millisecond.
 *
 * Owing: while small units come and go, waking a further worker costs more than the work, so the consumer leaves it and
 * pays before it sleeps.  Its loop may take long instead, so a timer that all workers sleep on comes for the debt.  The
 * consumer opens a cell, then looks at owed and sets the timer unless it stands; the worker that gets the timer clears
 * owed, then looks at the cells.  Where it leaves cells open beside sleepers it sets the timer again, for the next one.
 */
#ifndef FF_RING_H
#define FF_RING_H

#include <stddef.h>
#include <stdint.h>

#include "ring/order.h"

#define FF_RING_MAGIC 0x31676e6972666666ull
#define FF_MAX_SLOTS (1u << 20)
#define FF_MAX_ROWS (1u << 26)
#define FF_MAX_WORKERS 4095 /* the owner field has 12 bits; owner 0 is nobody, worker w is owner w + 1 */

enum ff_state { FF_FREE = 0, FF_OPEN = 1, FF_WRITING = 2, FF_READY = 3, FF_LEASED = 4 };

#define FF_CELL(state, owner, generation, sequence)                                                                    \
    ((uint64_t)(state) << 60 | (uint64_t)(owner) << 48 | (uint64_t)(uint16_t)(generation) << 32 | (uint32_t)(sequence))
#define FF_CELL_STATE(word) ((unsigned)((word) >> 60))
#define FF_CELL_OWNER(word) ((unsigned)((word) >> 48) & 0xfffu)
#define FF_CELL_GENERATION(word) ((uint16_t)((word) >> 32))
#define FF_CELL_SEQUENCE(word) ((uint32_t)(word))

/* Row status: 0 not done, 1 done, otherwise 128 + -FF_E_* (a failed row; its reason is in the row's own bytes). */
#define FF_NO_SAMPLE (~(uint64_t)0)
#define FF_ROW_DONE 1u
#define FF_ROW_FAILED(code) ((uint8_t)(128 - (code)))

/* What the consumer waits for, in the header's waiting word; FF_WAIT_SEVERAL and more: for so many batches more than one. */
enum ff_wait { FF_WAIT_NOT = 0, FF_WAIT_BATCH = 1, FF_WAIT_CELL = 2, FF_WAIT_SEVERAL = 3 };

typedef struct ff_ring_shape {
    uint32_t slots, rows, rows_per_cell, workers;
    uint64_t row_bytes;
} ff_ring_shape;

typedef struct ff_worker_entry { /* 128 bytes; written by its worker alone, read by the consumer with suspicion */
    ff_flag asleep;
    ff_flag attached;    /* 1 while the worker is in its loop */
    ff_note sample;      /* sequence << 32 | row, all ones where none is being worked on */
    ff_note started_ns;  /* CLOCK_MONOTONIC when sample was begun */
    ff_counter samples, bytes, read_ns, work_ns, idle_ns;
    uint64_t spare[8];
} ff_worker_entry;

typedef struct ff_ring_header {
    uint64_t magic, total_bytes;
    ff_ring_shape shape;
    uint32_t cells_per_slot, reserved;
    uint64_t slot_stride, table_at, cells_at, descriptors_at, descriptor_stride, slots_at;
    _Alignas(64) ff_flag waiting; /* an ff_wait: the consumer may be blocked in poll */
    _Alignas(64) ff_flag stop;
    _Alignas(64) ff_flag owed; /* wake-ups are owed, and the timer will come for them */
    _Alignas(64) ff_counter kill_hits; /* test builds: passes of the kill point named by FF_KILL_AT */
} ff_ring_header;

typedef struct ff_descriptor {
    uint64_t epoch;
    uint32_t sequence, rows; /* rows in use: the last batch may be short */
    uint64_t used;           /* bytes of a payload, where a slot carries one instead of rows */
    uint64_t allocated;      /* bytes of the slot that exist, in a ring whose slots grow */
    /* followed by int64_t index[shape.rows] and uint8_t status[shape.rows] */
} ff_descriptor;

typedef struct ff_ring { /* one process's view of the mapping */
    uint8_t *base;
    ff_ring_header *header;
    ff_worker_entry *table;
    ff_cell *cells;
    uint32_t slots, cells_per_slot, rows, rows_per_cell, workers;
    uint64_t row_bytes, slot_stride, slots_at, descriptors_at, descriptor_stride;
} ff_ring;

/* Bytes of the whole mapping, 0 where shape is not one. */
uint64_t ff_ring_size(const ff_ring_shape *shape);

/* Lay out a fresh zeroed mapping; attach to one that is laid out.  0, or -1: base is not a ring of total bytes. */
int ff_ring_init(ff_ring *ring, void *base, const ff_ring_shape *shape);
int ff_ring_attach(ff_ring *ring, void *base, uint64_t total);

ff_descriptor *ff_ring_descriptor(const ff_ring *ring, uint32_t slot);
int64_t *ff_ring_index(const ff_ring *ring, uint32_t slot);
uint8_t *ff_ring_status(const ff_ring *ring, uint32_t slot);
uint8_t *ff_ring_row(const ff_ring *ring, uint32_t slot, uint32_t row);

/* ---- the consumer's side ---- */

/* Open the cells of a slot whose index column holds rows entries; generations[] (cells_per_slot of them, the
 * consumer's own) are advanced.  Cells past the last row are left FREE.  With an addressee (an owner number, 0 for
 * anybody) only that worker will claim them. */
void ff_ring_open(ff_ring *ring, uint32_t slot, uint32_t sequence, uint64_t epoch, uint32_t rows, uint16_t *generations,
                  unsigned addressee);

/* How many workers may be asleep: as many tokens wake them all. */
uint32_t ff_ring_sleepers(const ff_ring *ring);

/* Whether a cell is open to anybody. */
int ff_ring_is_open(const ff_ring *ring);

/* Take over a debt of wake-ups: 1 where nobody had, and the timer is to be set.  Or it is paid. */
int ff_ring_owe(ff_ring *ring);
void ff_ring_pay(ff_ring *ring);

/* The number of a worker that may be asleep, -1 where there is none; with a worker's number (-1: any) only that one.
 * Then, before a token is posted to it, take its flag down: once it has the token, it may go to sleep again. */
int ff_ring_sleeper(const ff_ring *ring, int worker);
void ff_ring_rouse(ff_ring *ring, unsigned worker);

/* Say what the consumer waits for (an ff_wait); tell all workers to leave. */
void ff_ring_set_waiting(ff_ring *ring, uint32_t waiting);
void ff_ring_set_stop(ff_ring *ring);

/* Read a slot off its cells against what the consumer knows: 1 complete, 0 not yet, -1 a word that cannot be there
 * (its owner field, perhaps 0, in *suspect). */
int ff_ring_check(const ff_ring *ring, uint32_t slot, uint32_t sequence, uint32_t rows, const uint16_t *generations,
                  unsigned *suspect);

/* Whether a slot looks complete, for counting: nothing follows from it, so its words are not held against the books.
 * In *seen is how many of its cells were READY the last time, 0 after it is opened or taken: they are passed over. */
int ff_ring_ready(const ff_ring *ring, uint32_t slot, uint32_t *seen);

/* How many slots look complete. */
uint32_t ff_ring_complete(const ff_ring *ring);

/* READY -> LEASED, for a complete slot.  Returns how many of the first rows failed, with their numbers in failed[]. */
uint32_t ff_ring_take(ff_ring *ring, uint32_t slot, uint32_t rows, uint32_t *failed);

/* Any -> FREE. */
void ff_ring_release(ff_ring *ring, uint32_t slot);

/* OPEN -> FREE for an abandoned slot; returns how many cells are still WRITING, or -1: a word that cannot be there, as in
 * ff_ring_check, behind which somebody may be writing. */
int64_t ff_ring_withdraw(ff_ring *ring, uint32_t slot, uint32_t sequence, const uint16_t *generations, unsigned *suspect);

/* After owner has been reaped: its WRITING cells go back to OPEN under the next generation, for the same addressee (or
 * to FREE where abandoned[slot] is set).  Returns how many there were. */
uint32_t ff_ring_reopen(ff_ring *ring, unsigned owner, uint16_t *generations, const uint8_t *abandoned,
                        const uint16_t *addressees);

/* Whether a cell of the slot is in the hands of owner. */
int ff_ring_writes(const ff_ring *ring, unsigned owner, uint32_t slot);

/* Whether a worker has reached its loop. */
int ff_ring_attached(const ff_ring *ring, unsigned worker);

/* What a worker has in hand: 1, or 0 where that is nothing. */
int ff_ring_sample_of(const ff_ring *ring, unsigned worker, uint32_t *sequence, uint32_t *row, uint64_t *started_ns);

/* Reset the table entry of a worker that is no more. */
void ff_ring_forget(ff_ring *ring, unsigned worker);

/* The counters of all workers together. */
typedef struct ff_ring_totals {
    uint64_t samples, bytes, read_ns, work_ns, idle_ns;
} ff_ring_totals;

ff_ring_totals ff_ring_total(const ff_ring *ring);

/* Passes of the kill point that FF_KILL_AT names; 0 in a normal build. */
uint64_t ff_ring_kill_hits(const ff_ring *ring);

/* ---- a worker's side ---- */

typedef struct ff_claim {
    uint32_t slot, cell, first_row, end_row;
    uint32_t rows; /* of the slot: the descriptor may be another batch's as soon as the cell is READY */
    uint64_t word; /* as written by the claim */
} ff_claim;

/* Claim an OPEN cell, oldest sequence first: 1, or 0 where there is none. */
int ff_ring_claim(ff_ring *ring, unsigned owner, ff_claim *claim);

/* WRITING -> READY.  1: nothing of the slot's batch is left to be done (several workers may see it; or the slot has gone
 * on since, or is damaged), 0: something is, -1: the cell is no longer this worker's. */
int ff_ring_publish(ff_ring *ring, const ff_claim *claim);

#endif
