/* worker: the image worker's loop.  Every shared store and every eventfd operation is followed by a kill point. */
#define _GNU_SOURCE
#include "image/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "ring/killpoint.h"

static void *watch(void *argument)
{
    struct pollfd gone = {.fd = (int)(intptr_t)argument, .events = POLLIN};
    while (poll(&gone, 1, -1) < 0 && errno == EINTR)
        ;
    /* A worker leads its process group, its children with it. */
    if (getpgrp() == getpid())
        kill(0, SIGKILL);
    _exit(0);
}

int ff_worker_settle(int consumer_pidfd, unsigned number, int last_fd)
{
    /* Started with SIGINT blocked: from here on it may come, and is ignored. */
    sigset_t nothing;
    sigemptyset(&nothing);
    signal(SIGINT, SIG_IGN);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    for (int fd = 3; fd <= last_fd; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    /* What a library of the consumer left inheritable is not ours to keep open.  ENOSYS before Linux 5.9. */
    syscall(SYS_close_range, (unsigned)last_fd + 1, ~0u, 0u);
    char name[16];
    snprintf(name, sizeof name, "fastfeed-%u", number % 100000u);
    prctl(PR_SET_NAME, name);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        /* Halfway up: before the trainer, after a process that asked to go first.  Raising needs no privilege. */
        ssize_t written = write(fd, "500", 3);
        (void)written;
        close(fd);
    }
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &small, watch, (void *)(intptr_t)consumer_pidfd);
    pthread_attr_destroy(&small);
    return -error;
}

void ff_worker_keep_heap(void)
{
    /* Blocks up to this, and twice as much at the end of the heap, stay; no page of it is touched. */
    void *volatile block = malloc(16 << 20);
    free(block);
}

static ff_worker_entry *entry(const ff_worker *worker)
{
    return &worker->ring.table[worker->number];
}

static void add(_Atomic uint64_t *counter, uint64_t amount)
{
    /* This worker is the only writer: no read-modify-write is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount, memory_order_relaxed);
}

/* One token from the work eventfd: 0, or -1 where it cannot be read any more. */
static int take_token(const ff_worker *worker)
{
    uint64_t token;
    while (read(worker->work_fd, &token, sizeof token) != (ssize_t)sizeof token)
        if (errno != EINTR)
            return -1;
    return 0;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    for (int i = 0; i < 8; i++)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

int ff_worker_acquire(ff_worker *worker)
{
    ff_ring *ring = &worker->ring;
    ff_worker_entry *mine = entry(worker);
    unsigned owner = worker->number + 1;
    uint64_t begun = 0, looking = 0;
    for (;;) {
        if (atomic_load(&ring->header->stop))
            return 0;
        int found = ff_ring_claim(ring, owner, &worker->claim);
        if (!found) {
            uint64_t now = ff_now_ns();
            if (begun == 0)
                begun = now;
            if (looking == 0)
                looking = now;
            if (now - looking < worker->patience_ns) {
                relax();
                continue;
            }
            atomic_store(&mine->asleep, 1);
            FF_KILL_POINT(ring, "asleep");
            /* Once more, now that the consumer can see the flag: see the note on waking in ring.h. */
            found = ff_ring_claim(ring, owner, &worker->claim);
            if (!found && !atomic_load(&ring->header->stop)) {
                if (take_token(worker) != 0)
                    return -1;
                FF_KILL_POINT(ring, "token");
                looking = 0;
            }
            atomic_store(&mine->asleep, 0);
            FF_KILL_POINT(ring, "awake");
        }
        if (found) {
            if (begun != 0)
                add(&mine->idle_ns, ff_now_ns() - begun);
            return 1;
        }
    }
}

static int signal_ready(const ff_worker *worker)
{
    uint64_t one = 1;
    while (write(worker->ready_fd, &one, sizeof one) != (ssize_t)sizeof one)
        if (errno != EINTR && errno != EAGAIN) /* EAGAIN: the counter is full, so it is readable */
            return -1;
        else if (errno == EAGAIN)
            break;
    return 0;
}

/* Publishes, and wakes the consumer where it waits for this batch. */
int ff_worker_publish(ff_worker *worker)
{
    ff_ring *ring = &worker->ring;
    atomic_store(&entry(worker)->sample, FF_NO_SAMPLE);
    FF_KILL_POINT(ring, "unsample");
    worker->busy = 0;
    int complete = ff_ring_publish(ring, &worker->claim);
    if (complete < 0)
        return -1;
    uint32_t waiting = atomic_load(&ring->header->waiting);
    if (waiting == FF_WAIT_CELL || (complete && waiting == FF_WAIT_BATCH)) {
        if (signal_ready(worker) != 0)
            return -1;
        FF_KILL_POINT(ring, "signal");
    }
    return 0;
}

void ff_worker_note(ff_worker *worker, uint32_t row)
{
    ff_worker_entry *mine = entry(worker);
    worker->begun_ns = ff_now_ns();
    atomic_store(&mine->started_ns, worker->begun_ns);
    FF_KILL_POINT(&worker->ring, "started");
    atomic_store(&mine->sample, (uint64_t)FF_CELL_SEQUENCE(worker->claim.word) << 32 | row);
    FF_KILL_POINT(&worker->ring, "sample");
}

void ff_worker_count(ff_worker *worker, uint64_t samples, uint64_t work_ns)
{
    add(&entry(worker)->samples, samples);
    add(&entry(worker)->work_ns, work_ns);
}

int ff_worker_reply(ff_worker *worker, uint64_t used, int code)
{
    ff_ring_descriptor(&worker->ring, worker->claim.slot)->used = used;
    FF_KILL_POINT(&worker->ring, "used");
    ff_ring_status(&worker->ring, worker->claim.slot)[0] = code == 0 ? FF_ROW_DONE : FF_ROW_FAILED(code);
    FF_KILL_POINT(&worker->ring, "status");
    return ff_worker_publish(worker);
}

int ff_worker_finish(ff_worker *worker, int code)
{
    if (code == FF_NEED_CALL)
        return FF_STEP_CALL;
    ff_ring *ring = &worker->ring;
    ff_worker_entry *mine = entry(worker);
    if (code != 0) {
        uint8_t *row = ff_ring_row(ring, worker->claim.slot, worker->row);
        size_t room = sizeof worker->sample.err < ring->row_bytes ? sizeof worker->sample.err : ring->row_bytes;
        size_t length = strnlen(worker->sample.err, room - 1);
        memcpy(row, worker->sample.err, length);
        row[length] = '\0';
        FF_KILL_POINT(ring, "reason");
    }
    ff_ring_status(ring, worker->claim.slot)[worker->row] = code == 0 ? FF_ROW_DONE : FF_ROW_FAILED(code);
    FF_KILL_POINT(ring, "status");
    ff_worker_count(worker, 1, ff_now_ns() - worker->begun_ns - worker->sample.read_ns);
    add(&mine->bytes, worker->sample.bytes);
    add(&mine->read_ns, worker->sample.read_ns);
    worker->sample.bytes = worker->sample.read_ns = 0;
    worker->row++;
    return 0;
}

int ff_worker_run(ff_worker *worker)
{
    ff_ring *ring = &worker->ring;
    for (;;) {
        if (!worker->busy) {
            int got = ff_worker_acquire(worker);
            if (got <= 0)
                return got == 0 ? FF_STEP_STOP : FF_STEP_LOST;
            worker->busy = 1;
            worker->row = worker->claim.first_row;
        }
        ff_descriptor *descriptor = ff_ring_descriptor(ring, worker->claim.slot);
        const uint8_t *status = ff_ring_status(ring, worker->claim.slot);
        while (worker->row < worker->claim.end_row) {
            if (status[worker->row] == FF_ROW_FAILED(FF_E_POISON)) {
                worker->row++;
                continue;
            }
            ff_worker_note(worker, worker->row);
            int code = ff_sample_make(&worker->sample, descriptor->epoch,
                                      ff_ring_index(ring, worker->claim.slot)[worker->row],
                                      ff_ring_row(ring, worker->claim.slot, worker->row));
            FF_KILL_POINT(ring, "pixels");
            if (code == FF_NEED_DECODE)
                return FF_STEP_DECODE;
            if (ff_worker_finish(worker, code) == FF_STEP_CALL)
                return FF_STEP_CALL;
        }
        if (ff_worker_publish(worker) != 0)
            return FF_STEP_LOST;
    }
}
