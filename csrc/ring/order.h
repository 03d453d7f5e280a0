/* order: every atomic operation of the ring's protocol, each with the reason why its ordering is enough.
 *
 *   cells     one word each; who may change it is its state
 *   flags     asleep, waiting and owed, which follow Dekker's rule; stop, attached
 *   notes     what a worker has in hand
 *   counters  one writer each
 *
 * The words are written by other processes, which may die between any two operations: nothing here is held.
 */
#ifndef FF_ORDER_H
#define FF_ORDER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t ff_cell;
typedef _Atomic uint32_t ff_flag;
typedef _Atomic uint64_t ff_note;
typedef _Atomic uint64_t ff_counter;

/* ---- cells ---- */

/* Look at a cell that another process may change.  Sequentially consistent, for two reasons.  It acquires: READY brings
 * the rows, OPEN the descriptor and the index column.  And it cannot pass the store to a flag before it: a process that
 * sets asleep or waiting and then looks here either finds the change, or is seen by the process that made it. */
static inline uint64_t ff_cell_look(const ff_cell *cell)
{
    return atomic_load(cell);
}

/* The consumer gives a cell to the workers.  It releases what was written before, the descriptor and the index column,
 * and comes before the look at the asleep flags that follows. */
static inline void ff_cell_open(ff_cell *cell, uint64_t word)
{
    atomic_store(cell, word);
}

/* A worker claims, publishes; the consumer withdraws.  0: the cell was not `was` any more, and *was is what it is.
 * Claiming acquires what opening released.  Publishing releases the rows and their status, and comes before the look at
 * the waiting flag that follows. */
static inline int ff_cell_change(ff_cell *cell, uint64_t *was, uint64_t word)
{
    return atomic_compare_exchange_strong(cell, was, word);
}

/* The consumer's own cell, READY or LEASED: no worker touches such a word, so nothing need be ordered.  The rows were
 * acquired by the look that found the slot complete; the next worker is let in by ff_cell_open. */
static inline uint64_t ff_cell_own(const ff_cell *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static inline void ff_cell_set_own(ff_cell *cell, uint64_t word)
{
    atomic_store_explicit(cell, word, memory_order_relaxed);
}

/* ---- flags ---- */

/* Set a flag, then look at the cells; change a cell, then look at the flag.  Both sides do both, all sequentially
 * consistent, so that one of the two always sees the other: the note on waking in ring.h.  A worker that held a signal
 * back looks at waiting once more, then at the cells, when it has found none to claim: if the consumer has set another
 * wish by then, it has looked at the cells itself after that. */
static inline void ff_flag_set(ff_flag *flag, uint32_t value)
{
    atomic_store(flag, value);
}

static inline uint32_t ff_flag_look(const ff_flag *flag)
{
    return atomic_load(flag);
}

/* ---- notes ---- */

/* A worker notes started_ns before sample, and the consumer looks at sample before started_ns: in this order a sample is
 * never seen with a beginning older than its own. */
static inline void ff_note_set(ff_note *note, uint64_t value)
{
    atomic_store(note, value);
}

static inline uint64_t ff_note_look(const ff_note *note)
{
    return atomic_load(note);
}

/* ---- counters ---- */

/* The worker is the only writer of its counters: no read-modify-write is needed.  Nothing is concluded from one. */
static inline void ff_counter_add(ff_counter *counter, uint64_t amount)
{
    const uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + amount, memory_order_relaxed);
}

static inline uint64_t ff_counter_look(const ff_counter *counter)
{
    return atomic_load(counter);
}

/* The only counter with many writers: passes of a kill point in a test build.  Returns the count with this one. */
static inline uint64_t ff_counter_pass(ff_counter *counter)
{
    return atomic_fetch_add(counter, 1) + 1;
}

#endif
