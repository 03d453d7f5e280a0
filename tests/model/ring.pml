/* The protocol of csrc/ring/ring.h for the model checker spin; `run` beside it builds every configuration and mutant.
 *
 *   consumer   next() until every batch is out, then close()               one process, no threads
 *   worker     claims, writes, publishes, sleeps; dies or hangs anywhere  WORKERS of them, restarted under their number
 *   user       drops the leases it holds, whenever it likes, from any thread
 *
 * One atomic {} is ONE operation on shared memory or on a descriptor, with the private steps and the ghosts (what only
 * the model knows, for its assertions) that go with it; a worker may be killed between any two.  README.md lists the
 * few operations that are drawn together, and why nothing is lost by it.
 */

/* ---- sizes and switches; `run` sets them ---- */
#ifndef CELLS
#define CELLS 2 /* cells a slot, 1 or 2 */
#endif
#ifndef DEATHS
#define DEATHS 2 /* workers that die by themselves, at any step */
#endif
#ifndef HANGS
#define HANGS 1 /* samples that outlast the timeout: for ever, or a slow one */
#endif
#ifndef ORDERED
#define ORDERED 1
#endif
#ifndef LEASES
#define LEASES 1 /* 1: the user holds batches while the consumer goes on; 0: drops each at once */
#endif
#ifndef BREAK
#define BREAK 0 /* 1: the loop may be left once, at any batch: what is open is withdrawn, and a new epoch follows */
#endif
#ifndef EXACT
#define EXACT 0 /* 1: a claim reads the words one by one, keeps the oldest, compares and swaps, tries again */
#endif
#ifndef LATE
#define LATE 0 /* 1: the hung worker is not killed but given up, and publishes late; its rows were written in time */
#endif
#ifndef STALE
#define STALE 0 /* 1: the asleep flag of a dead worker is left standing; 0: cleared when it is reaped */
#endif
#ifndef SEVERAL
#define SEVERAL 0 /* 1: the consumer waits for several batches, or for a worker that finds nothing to do */
#endif
#ifndef REACH
#define REACH 0 /* n: place n must be reachable, so its assertion must fail */
#endif
#define SLOTS 2
#define WORKERS 2
#define BATCHES 3
#define ALL_CELLS (SLOTS * CELLS)

/* ---- the cell word: state | owner | generation | sequence; a FREE one is all zeroes here ---- */
#define FREE 0
#define OPEN 1
#define WRITING 2
#define READY 3
#define LEASED 4
#define WORD(state, owner, generation, sequence) ((state) << 9 | (owner) << 7 | (generation) << 2 | (sequence))
#define STATE(word) ((word) >> 9)
#define OWNER(word) (((word) >> 7) & 3)
#define GENERATION(word) (((word) >> 2) & 31)
#define SEQUENCE(word) ((word) & 3)
#define ALL_READY(s) (STATE(cell[(s) * CELLS]) == READY && STATE(cell[(s) * CELLS + CELLS - 1]) == READY)
#define SLOT(number) ((number) / CELLS)
#define LAST_CELL(number) ((number) % CELLS == CELLS - 1)

/* ---- shared memory ---- */
short cell[ALL_CELLS];
bool asleep[WORKERS];
byte sample[WORKERS];  /* 0: none; a cell is one sample here */
byte waiting; /* what the consumer waits for */
bool stop;
#define WAIT_NOT 0
#define WAIT_BATCH 1
#define WAIT_CELL 2 /* after a loop was left: any cell that is published may free a slot */
#define WAIT_SEVERAL 3
bool failed[ALL_CELLS]; /* status column: the sample is set aside, the next worker skips it */
#ifdef MUTANT_COUNTER
byte counted[SLOTS];
#endif

/* ---- descriptors ---- */
byte tokens; /* work eventfd, a semaphore: read takes one or blocks */
bool ready;  /* readiness eventfd: only zero or not matters, read drains it */
mtype = { NONE, RUNNING, ZOMBIE };
mtype process[WORKERS] = RUNNING; /* ZOMBIE: its pidfd is readable until it is reaped */
bool killed[WORKERS];             /* SIGKILL is sent; the process may still run a little */

/* ---- the consumer's own memory ---- */
mtype = { IDLE, OPENED, HELD, ABANDONED };
mtype slot[SLOTS] = IDLE;
byte at[SLOTS];            /* the sequence that sits there */
byte generation[ALL_CELLS]; /* counted from the opening: less than the code has, which never starts again */
byte attempts[ALL_CELLS];  /* deaths that the sample word blames on this cell's sample */

/* ---- ghosts and budgets ---- */
byte deaths = DEATHS, hangs = HANGS;
bool hung[WORKERS];
bool blocked[WORKERS];    /* in read(work eventfd), or nothing but that read before it */
bool referenced[SLOTS];   /* the user has views */
byte content[ALL_CELLS];  /* who wrote the rows last; 0: nobody */
byte fatal[ALL_CELLS];    /* deaths that truly befell this cell's sample */
bool delivered[BATCHES], withdrawn[BATCHES];
bool finished;
#if LATE
bool late;
byte late_cell;
short late_word;
#endif

#define CONTENT(generation, sequence) (1 + ((generation) << 2 | (sequence)))
#define SAMPLE(number, sequence) (1 + (sequence) * ALL_CELLS + (number))
#define REACHED(n) assert(REACH != n)

/* ---------------------------------------------------------------------------------------------------- worker ---- */

#define ALIVE (process[me] == RUNNING)
#define MORTAL (ALIVE && (deaths > 0 || killed[me]))
#define DIE                                                                                                            \
    if                                                                                                                 \
    :: killed[me] -> killed[me] = false                                                                                \
    :: else -> deaths--                                                                                                \
    fi;                                                                                                                \
    if                                                                                                                 \
    :: making -> fatal[c]++; making = false                                                                            \
    :: else                                                                                                            \
    fi;                                                                                                                \
    process[me] = ZOMBIE; blocked[me] = false; hung[me] = false;                                                       \
    asleep_here = false; word = 0; c = 0; i = 0;                                                                       \
    goto top
#define OR_DIE :: atomic { MORTAL -> DIE }
#define STEP(operation)                                                                                                \
    if                                                                                                                 \
    :: atomic { true -> operation }                                                                                    \
    OR_DIE                                                                                                             \
    fi

#define CLAIM(number)                                                                                                  \
    :: atomic { ALIVE && STATE(cell[number]) == OPEN ->                                                                \
           c = number; i = 0;                                                                                          \
           word = WORD(WRITING, me + 1, GENERATION(cell[c]), SEQUENCE(cell[c]));                                       \
           cell[c] = word;                                                                                             \
           if                                                                                                          \
           :: asleep_here -> asleep_here = false; goto awake                                                           \
           :: else -> goto begin                                                                                       \
           fi }
#if CELLS == 2
#define CLAIM_ANY CLAIM(0) CLAIM(1) CLAIM(2) CLAIM(3)
#else
#define CLAIM_ANY CLAIM(0) CLAIM(1)
#endif

proctype worker(byte me)
{
    byte c, i;  /* the cell it holds or looks at */
    short word; /* as written by the claim; 0: it holds none */
    bool asleep_here; /* which of its two looks this is */
    bool making; /* ghost: it truly works on the sample */
#if EXACT
    short best;
#endif

top:
end_gone:
#if EXACT
    if
    :: atomic { ALIVE && stop -> process[me] = ZOMBIE; goto top } /* leaves */
    :: atomic { ALIVE && !stop -> skip }
    OR_DIE
    fi;
#else
    /* The stop flag, the first look and the flag that follows it.  More than the code does, never less: here it may go
     * to sleep beside an OPEN cell (the second look will see it), and work on after stop.  A claim takes some cell that
     * is OPEN at the instant of the swap: any here, there the oldest of those it read.  A swap that fails changes
     * nothing. */
    if
    :: atomic { ALIVE && stop -> process[me] = ZOMBIE; goto top } /* leaves */
    CLAIM_ANY
#if SEVERAL && !defined(MUTANT_IDLE_NO_SIGNAL)
    /* Nothing to do: what was held back when it was published is told now. */
    :: atomic { ALIVE -> i = (waiting == WAIT_SEVERAL) };
       STEP(
           if
           :: i == 1 && (ALL_READY(0) || ALL_READY(1)) -> i = 0
           :: else -> i = 0; goto drowsy
           fi);
       STEP(ready = true);
drowsy:
       STEP(asleep[me] = true; asleep_here = true; goto look)
#else
    :: atomic { ALIVE -> asleep[me] = true;
#ifdef MUTANT_ASLEEP_NO_LOOK
           blocked[me] = true; goto sleep
#else
           asleep_here = true; goto look
#endif
       }
#endif
    OR_DIE
    fi;
#endif

look:
#if EXACT
    STEP(
        if
        :: STATE(cell[i]) == OPEN && (best == 0 || SEQUENCE(cell[i]) < SEQUENCE(best)) -> c = i; best = cell[i]
        :: else
        fi;
        i++;
        if
        :: i < ALL_CELLS -> goto look
        :: i == ALL_CELLS && best == 0 -> i = 0; goto nothing
        :: i == ALL_CELLS && best != 0 -> i = 0
        fi);
    STEP(
        if
        :: cell[c] == best ->
            word = WORD(WRITING, me + 1, GENERATION(best), SEQUENCE(best)); cell[c] = word; best = 0
        :: else -> c = 0; best = 0; goto look
        fi;
        if
        :: asleep_here -> asleep_here = false; goto awake
        :: else -> goto begin
        fi);
#else
    /* "None" means that every cell has been seen not OPEN, one after the other. */
    if
    :: atomic { STATE(cell[i]) != OPEN ->
           i++;
           if
           :: i < ALL_CELLS -> goto look
           :: else -> i = 0; goto nothing
           fi }
    CLAIM_ANY
    OR_DIE
    fi;
#endif

nothing:
    if
    :: atomic { !asleep_here ->
           asleep[me] = true;
#ifdef MUTANT_ASLEEP_NO_LOOK
           blocked[me] = true; goto sleep
#else
           asleep_here = true; goto look
#endif
       }
    :: atomic { asleep_here ->
           asleep_here = false;
#ifndef MUTANT_STOP_ONCE
           if
           :: stop -> goto awake
           :: else
           fi;
#endif
           blocked[me] = true; goto sleep }
    OR_DIE
    fi;
sleep:
    if
    :: atomic { tokens > 0 -> tokens--; blocked[me] = false; REACHED(1) }
    OR_DIE
    fi;
awake:
    STEP(
        asleep[me] = false;
        if
        :: word == 0 -> goto top
        :: else
        fi);

begin:
    STEP(
        if
        :: failed[c] -> goto publish /* the sample is set aside */
        :: else -> sample[me] = SAMPLE(c, SEQUENCE(word)); making = true
        fi);
    if
    :: atomic { true ->
#ifndef SEEN_AT_DELIVERY
           assert(cell[c] == word && !referenced[SLOT(c)]); /* one live writer a cell, and it is this one */
#endif
           content[c] = CONTENT(GENERATION(word), SEQUENCE(word)); /* the rows */
           sample[me] = 0; making = false }
#if !defined(MUTANT_NO_KILL) && !defined(MUTANT_NO_REAP) /* where it could do no harm */
    :: atomic { hangs > 0 ->
           hangs--; hung[me] = true;
#if LATE
           content[c] = CONTENT(GENERATION(word), SEQUENCE(word)); late_cell = c; late_word = word;
#endif
           goto stuck }
#endif
    OR_DIE
    fi;
publish:
#ifdef MUTANT_COUNTER
#if MUTANT_COUNTER == 1
    STEP(counted[SLOT(c)]++);
#endif
#endif
    STEP(
#ifndef SEEN_AT_DELIVERY
        assert(cell[c] == word);
#endif
        if
        :: cell[c] == word -> cell[c] = WORD(READY, 0, GENERATION(word), SEQUENCE(word))
        :: else
        fi;
        word = 0);
#ifdef MUTANT_COUNTER
#if MUTANT_COUNTER == 2
    STEP(counted[SLOT(c)]++);
#endif
#endif
    /* Complete?  Its own cell is READY; the other one of the slot is c ^ 1. */
#if CELLS == 2
    STEP(i = (STATE(cell[c ^ 1]) == READY); c = 0);
#else
    i = 1;
    c = 0;
#endif
    STEP(
        if
#ifdef MUTANT_SIGNAL_COMPLETE
        :: waiting != WAIT_NOT && i == 1 -> i = 0
#else
        :: waiting == WAIT_CELL || (i == 1 && waiting == WAIT_BATCH) -> i = 0
#if SEVERAL
        :: waiting == WAIT_SEVERAL && i == 1 -> i = 0 /* enough are there */
        :: waiting == WAIT_SEVERAL -> i = 0; goto top /* or they are not */
#endif
#endif
        :: else -> i = 0; goto top
        fi);
    STEP(ready = true; goto top);

stuck: /* for ever: only a kill ends it */
#if LATE
    atomic { late -> asleep_here = false; making = false; word = 0; c = 0; goto top }
#else
    atomic { MORTAL -> DIE }
#endif
}

#if LATE
/* The process that hung, after its worker number was given to another one. */
active proctype straggler()
{
end_never:
    atomic { late ->
        if
        :: cell[late_cell] == late_word ->
            cell[late_cell] = WORD(READY, 0, GENERATION(late_word), SEQUENCE(late_word))
        :: else
        fi }
}
#endif

/* -------------------------------------------------------------------------------------------------- consumer ---- */

#define DONE(sequence) (delivered[sequence] || withdrawn[sequence])
#define ALL_DONE (DONE(0) && DONE(1) && DONE(2))
#define SLEEPING (blocked[0] + blocked[1])
#define SLOT_HAS(s, state) (STATE(cell[(s) * CELLS]) == state || STATE(cell[(s) * CELLS + CELLS - 1]) == state)
#if LATE
#define OVERDUE(w) (hung[w])
#else
#define OVERDUE(w) (process[w] == RUNNING && (hung[w] || (hangs > 0 && sample[w] != 0)))
#endif
#define SETTLED(s) (slot[s] == ABANDONED && !SLOT_HAS(s, WRITING))
#define SOME(state) (SLOT_HAS(0, state) || SLOT_HAS(1, state))
#define COMPLETE(s)                                                                                                    \
    (cell[(s) * CELLS] == WORD(READY, 0, generation[(s) * CELLS], at[s]) &&                                            \
     cell[(s) * CELLS + CELLS - 1] == WORD(READY, 0, generation[(s) * CELLS + CELLS - 1], at[s]))
#define SANE(c) (STATE(cell[c]) >= OPEN && STATE(cell[c]) <= READY && SEQUENCE(cell[c]) == at[SLOT(c)] &&             \
                 GENERATION(cell[c]) == generation[c])
#define CLEAR(c)                                                                                                       \
    cell[c] = FREE; content[c] = 0; failed[c] = false; generation[c] = 0; attempts[c] = 0; fatal[c] = 0
#define INTACT(c) (content[c] == CONTENT(generation[c], at[SLOT(c)]) || failed[c])

active proctype consumer()
{
    byte s, c, w, n; /* slot, cell, worker, count; 0 where they are not in use */
    byte opened, wanted;
    bool post;
#if BREAK
    bool left;
#endif

/* A label before an atomic {} is a place where others may run; `goto` to a label inside one goes on without a break. */
next:
#if BREAK
    if
    :: atomic { !left && opened > 0 && !ALL_DONE -> left = true; goto withdraw }
    :: true
    fi;
#endif
open: /* the oldest batches into the free slots, one cell at a time */
    atomic { skip;
open_now:
        if
#if BREAK
        :: SETTLED(0) -> s = 0; goto release /* nobody writes to it any more */
        :: SETTLED(1) -> s = 1; goto release
#endif
        :: c > 0 -> skip
        :: c == 0 && ALL_DONE -> goto close
        :: c == 0 && !ALL_DONE && opened < BATCHES && (slot[0] == IDLE || slot[1] == IDLE) ->
            s = (slot[0] == IDLE -> 0 : 1);
            assert(!referenced[s]);
            slot[s] = OPENED; at[s] = opened; opened++; post = true
        :: else ->
            if
            :: post -> post = false; n = asleep[0]; goto count
            :: else -> goto look_now
            fi
        fi;
        assert(cell[s * CELLS + c] == FREE);
        cell[s * CELLS + c] = WORD(OPEN, 0, 0, at[s]);
        c++;
        if
        :: c == CELLS -> c = 0; s = 0
        :: else
        fi;
        goto open };

count: /* the flags one by one, then a token for each sleeper; nobody can tell that read and write are one here */
    atomic {
        n = n + asleep[1];
#ifdef MUTANT_ONE_TOKEN
        n = (n > 0);
#endif
        tokens = tokens + n; n = 0 };

look:
    atomic { skip;
look_now:
        do
        :: s == SLOTS -> s = 0; goto incomplete_now
        :: s < SLOTS && (slot[s] != OPENED || (ORDERED && at[s] != wanted)) -> s++
        :: s < SLOTS && slot[s] == OPENED && (!ORDERED || at[s] == wanted) ->
#ifdef MUTANT_COUNTER
            if
            :: counted[s] < CELLS -> s++
            :: else -> counted[s] = 0; break
            fi;
#else
            assert(SANE(s * CELLS) && SANE(s * CELLS + CELLS - 1));
            if
            :: COMPLETE(s) -> break
            :: else -> s++
            fi;
#endif
            if
            :: s < SLOTS && !ORDERED -> goto look
            :: else
            fi
        od;
        /* delivered: once, in order, whole, of its generation */
        assert(!DONE(at[s]));
        assert(INTACT(s * CELLS) && INTACT(s * CELLS + CELLS - 1));
        delivered[at[s]] = true; wanted++;
        if
        :: !LEASES -> goto release
#ifndef MUTANT_NO_COPY
        :: LEASES && slot[1 - s] == HELD -> REACHED(2); goto release /* a copy, and the slot is free */
#endif
        :: else
        fi;
        slot[s] = HELD; referenced[s] = true;
        cell[s * CELLS] = WORD(LEASED, 0, 0, 0);
        cell[s * CELLS + CELLS - 1] = WORD(LEASED, 0, 0, 0);
#ifdef MUTANT_LEASE_FREED
        goto release;
#endif
        s = 0;
        goto found };

release: /* no worker tells READY, LEASED and FREE apart, so the stores need not be apart either */
    atomic { skip;
release_now:
        CLEAR(s * CELLS);
        CLEAR(s * CELLS + CELLS - 1);
        slot[s] = IDLE; at[s] = 0; s = 0 };
found:
    if
    :: atomic { waiting != WAIT_NOT -> waiting = WAIT_NOT; goto next }
    :: atomic { waiting == WAIT_NOT -> goto next }
    fi;

incomplete:
    atomic { skip;
incomplete_now:
        if
        :: waiting == WAIT_NOT -> goto wait
        :: else -> skip
        fi;
        assert(!SOME(OPEN) || tokens >= SLEEPING); /* nobody sleeps beside work */
        goto poll };
wait:
    atomic {
        waiting = (slot[0] == OPENED || slot[1] == OPENED -> (SEVERAL -> WAIT_SEVERAL : WAIT_BATCH) : WAIT_CELL);
#ifdef MUTANT_WAITING_NO_LOOK
        assert(!SOME(OPEN) || tokens >= SLEEPING); goto poll
#endif
    };
again: /* once more, now that the workers can see the flag: a slot that could be opened, then a complete batch */
    atomic {
        if
#ifndef MUTANT_LOOK_AT_BATCH_ONLY
        :: waiting == WAIT_CELL && (slot[0] == IDLE || slot[1] == IDLE || SETTLED(0) || SETTLED(1)) -> goto found
#endif
        :: else -> goto look_now
        fi };
poll:
    if
    :: atomic { ready -> skip }
#ifndef MUTANT_NO_DEATH_WAKE
    :: atomic { process[0] == ZOMBIE || process[1] == ZOMBIE ->
           assert(REACH != 8 || ready || !(slot[0] == OPENED && COMPLETE(0) && at[0] == wanted)) }
#endif
    :: atomic { OVERDUE(0) || OVERDUE(1) -> skip }
    fi;
    atomic { waiting = WAIT_NOT };
    atomic { ready = false };
    atomic { /* the timeout first: SIGKILL, then waitpid */
        if
        :: OVERDUE(0)
        :: OVERDUE(1) -> w = 1
        :: else -> goto reap_now
        fi;
        if
        :: hung[w]
        :: else -> hangs--
        fi;
#if LATE || defined(MUTANT_NO_KILL)
        goto reopen_now;
#endif
        killed[w] = true; REACHED(3);
#ifdef MUTANT_NO_REAP
        goto reopen_now
#else
        goto waitpid
#endif
    };

reap: /* what belongs to a dead worker nobody else touches, so all of it is one step */
    atomic { skip;
reap_now:
        if
        :: process[0] == ZOMBIE -> w = 0
        :: process[0] != ZOMBIE && process[1] == ZOMBIE -> w = 1
        :: else ->
#ifdef MUTANT_NO_REPOST
            post = false;
#endif
            goto open_now
        fi;
        goto waitpid_now };
waitpid:
    atomic {
        process[w] == ZOMBIE ->
waitpid_now:
        process[w] = NONE; killed[w] = false; REACHED(4);
#ifdef MUTANT_LOST_DEATH
        if /* an exception between the reaping and the reopening */
        :: goto next_of_death
        :: true
        fi;
#endif
#if !STALE
        asleep[w] = false;
#endif
reopen_now:
        post = true;
        do
        :: c == ALL_CELLS -> c = 0; break
        :: c < ALL_CELLS && !(STATE(cell[c]) == WRITING && OWNER(cell[c]) == w + 1) -> c++
        :: c < ALL_CELLS && STATE(cell[c]) == WRITING && OWNER(cell[c]) == w + 1 ->
            if
            :: sample[w] == SAMPLE(c, SEQUENCE(cell[c])) ->
                attempts[c]++;
                if
                :: attempts[c] == 2 ->
                    assert(fatal[c] == 2); /* nobody innocent is set aside */
                    failed[c] = true; REACHED(5)
                :: else
                fi
            :: else
            fi;
#ifndef MUTANT_NO_GENERATION
            generation[c]++;
#endif
            if
            :: slot[SLOT(c)] == ABANDONED -> cell[c] = FREE; REACHED(6)
            :: else -> cell[c] = WORD(OPEN, 0, generation[c], SEQUENCE(cell[c]))
            fi;
            c++
        od;
#if defined(MUTANT_NO_KILL) || defined(MUTANT_NO_REAP)
        if
        :: process[w] == RUNNING -> w = 0; goto reap
        :: else
        fi;
#endif
#ifndef MUTANT_SAMPLE_KEPT
        sample[w] = 0;
#endif
        if /* restarted; or never, while another one lives: replacements may be held back */
#if LATE
        :: process[w] == RUNNING -> late = true; hung[w] = false
#endif
        :: process[w] != RUNNING -> process[w] = RUNNING
        :: process[w] != RUNNING && process[1 - w] == RUNNING -> skip
        fi;
        w = 0; goto reap };
#ifdef MUTANT_LOST_DEATH
next_of_death:
    atomic { process[w] = RUNNING; asleep[w] = false; sample[w] = 0; w = 0; goto next };
#endif

#if BREAK
withdraw:
    atomic {
        do
        :: s == SLOTS -> s = 0; wanted = opened; goto open_now
        :: s < SLOTS && slot[s] != OPENED -> s++
        :: s < SLOTS && slot[s] == OPENED -> break
        od;
        if
        :: STATE(cell[s * CELLS + c]) == OPEN -> cell[s * CELLS + c] = FREE /* compare and swap */
        :: else
        fi;
        c++;
        if
        :: c == CELLS -> withdrawn[at[s]] = true; slot[s] = ABANDONED; c = 0; s++
        :: else
        fi;
        goto withdraw };
#endif

close:
    atomic { stop = true };
    atomic { n = asleep[0] };
    atomic { n = n + asleep[1]; tokens = tokens + n; n = 0 };
leave: /* every worker leaves by itself, before any grace is over; but one that hangs is killed then */
    if
    :: atomic { hung[0] && !killed[0] -> killed[0] = true; goto leave }
    :: atomic { hung[1] && !killed[1] -> killed[1] = true; goto leave }
    :: atomic { process[0] != RUNNING && process[1] != RUNNING && slot[0] != HELD && slot[1] != HELD -> skip }
    fi;
    atomic {
        finished = true; REACHED(7);
        assert(slot[0] == ABANDONED || (slot[0] == IDLE && cell[0] == FREE && cell[CELLS - 1] == FREE));
        assert(slot[1] == ABANDONED || (slot[1] == IDLE && cell[CELLS] == FREE && cell[ALL_CELLS - 1] == FREE)) }
}

/* ------------------------------------------------------------------------------------------------------ user ---- */

#if LEASES
active proctype user()
{
    byte s;
end_keeps:
    do
    :: atomic {
           if
           :: referenced[0] -> s = 0
           :: referenced[1] -> s = 1
           fi;
           assert(slot[s] == HELD && STATE(cell[s * CELLS]) == LEASED && STATE(cell[s * CELLS + CELLS - 1]) == LEASED);
           assert(INTACT(s * CELLS) && INTACT(s * CELLS + CELLS - 1)); /* nothing was overwritten */
           if
           :: waiting != WAIT_NOT -> REACHED(9)
           :: else
           fi;
           referenced[s] = false;
           CLEAR(s * CELLS); CLEAR(s * CELLS + CELLS - 1);
           slot[s] = IDLE; at[s] = 0; s = 0 }
    od
}
#endif

init { atomic { run worker(0); run worker(1) } }
