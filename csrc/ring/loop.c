/* loop: claim, sleep, publish.  Every shared store and every eventfd operation is followed by a kill point. */
#include "ring/loop.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codes.h"
#include "ring/killpoint.h"

/* Who has looked for so long in vain is, perhaps, in the way of whoever is to give it something. */
#define YIELD_AFTER_NS 5000u

static ff_worker_entry *entry(const ff_loop *loop)
{
    return &loop->ring.table[loop->number];
}

/* Sleep until there is a token, and take it: 0.  1: the timer came first.  -1: neither can be waited for any more. */
static int take_token(const ff_loop *loop)
{
    uint64_t token;
    while (loop->timer >= 0) {
        struct pollfd wake[2] = {{.fd = loop->work_fd, .events = POLLIN}, {.fd = loop->timer, .events = POLLIN}};
        if (poll(wake, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (wake[0].revents != 0)
            break;
        if (wake[1].revents != 0 && ff_timer_take(loop->timer))
            return 1;
    }
    while (read(loop->work_fd, &token, sizeof token) != (ssize_t)sizeof token)
        if (errno != EINTR)
            return -1;
    return 0;
}

/* Let others go first: at first the other half of the core, then, where there are more processes than processors, one
 * that has something to do. */
static void relax(uint64_t looked_ns)
{
    if (looked_ns > YIELD_AFTER_NS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    for (int i = 0; i < 8; i++)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

void ff_loop_attach(ff_loop *loop)
{
    ff_flag_set(&entry(loop)->attached, 1);
}

void ff_loop_detach(ff_loop *loop)
{
    ff_flag_set(&entry(loop)->attached, 0);
}

static int signal_ready(const ff_loop *loop)
{
    uint64_t one = 1;
    while (write(loop->ready_fd, &one, sizeof one) != (ssize_t)sizeof one)
        if (errno != EINTR && errno != EAGAIN) /* EAGAIN: the counter is full, so it is readable */
            return -1;
        else if (errno == EAGAIN)
            break;
    FF_KILL_POINT(&loop->ring.header->kill_hits, "signal");
    return 0;
}

/* Tell the consumer of what was held back, now that there is nothing to do: 0, or -1 where that is not possible. */
static int tell_held_back(const ff_loop *loop)
{
    if (ff_flag_look(&loop->ring.header->waiting) < FF_WAIT_SEVERAL || ff_ring_complete(&loop->ring) == 0)
        return 0;
    return signal_ready(loop);
}

int ff_loop_acquire(ff_loop *loop)
{
    ff_ring *ring = &loop->ring;
    ff_worker_entry *mine = entry(loop);
    unsigned owner = loop->number + 1;
    uint64_t begun = 0, looking = 0;
    int by_timer = 0;
    for (;;) {
        if (ff_flag_look(&ring->header->stop))
            return FF_STEP_STOP;
        int found = ff_ring_claim(ring, owner, &loop->claim);
        if (!found) {
            uint64_t now = ff_now_ns();
            if (begun == 0)
                begun = now;
            if (looking == 0) {
                if (tell_held_back(loop) != 0)
                    return FF_STEP_LOST;
                looking = now;
            }
            if (now - looking < loop->patience_ns) {
                relax(now - looking);
                continue;
            }
            ff_flag_set(&mine->asleep, 1);
            FF_KILL_POINT(&ring->header->kill_hits, "asleep");
            /* Once more, now that the consumer can see the flag: see the note on waking in ring.h. */
            found = ff_ring_claim(ring, owner, &loop->claim);
            if (!found && !ff_flag_look(&ring->header->stop)) {
                by_timer = take_token(loop);
                if (by_timer < 0)
                    return FF_STEP_LOST;
                if (by_timer)
                    ff_ring_pay(ring);
                FF_KILL_POINT(&ring->header->kill_hits, "token");
                looking = 0;
            }
            ff_flag_set(&mine->asleep, 0);
            FF_KILL_POINT(&ring->header->kill_hits, "awake");
        }
        if (found) {
            if (begun != 0)
                ff_counter_add(&mine->idle_ns, ff_now_ns() - begun);
            if (by_timer && ff_ring_is_open(ring) && ff_ring_sleepers(ring) > 0 && ff_ring_owe(ring))
                ff_timer_set(loop->timer, 1);
            return FF_STEP_DONE;
        }
    }
}

/* Whether the consumer is to hear of a cell that was published, and perhaps completed its batch. */
static int is_awaited(const ff_loop *loop, int complete)
{
    const uint32_t waiting = ff_flag_look(&loop->ring.header->waiting);
    if (waiting == FF_WAIT_CELL || !complete)
        return waiting == FF_WAIT_CELL;
    if (waiting >= FF_WAIT_SEVERAL)
        return ff_ring_complete(&loop->ring) > waiting - FF_WAIT_SEVERAL;
    return waiting == FF_WAIT_BATCH;
}

int ff_loop_publish(ff_loop *loop)
{
    ff_ring *ring = &loop->ring;
    ff_note_set(&entry(loop)->sample, FF_NO_SAMPLE);
    FF_KILL_POINT(&ring->header->kill_hits, "unsample");
    int complete = ff_ring_publish(ring, &loop->claim);
    if (complete < 0)
        return FF_STEP_LOST;
    return is_awaited(loop, complete) && signal_ready(loop) != 0 ? FF_STEP_LOST : FF_STEP_DONE;
}

void ff_loop_note(ff_loop *loop, uint32_t row)
{
    ff_worker_entry *mine = entry(loop);
    loop->begun_ns = ff_now_ns();
    ff_note_set(&mine->started_ns, loop->begun_ns);
    FF_KILL_POINT(&loop->ring.header->kill_hits, "started");
    ff_note_set(&mine->sample, (uint64_t)FF_CELL_SEQUENCE(loop->claim.word) << 32 | row);
    FF_KILL_POINT(&loop->ring.header->kill_hits, "sample");
}

void ff_loop_count(ff_loop *loop, uint64_t samples, uint64_t work_ns)
{
    ff_counter_add(&entry(loop)->samples, samples);
    ff_counter_add(&entry(loop)->work_ns, work_ns);
}

void ff_loop_count_read(ff_loop *loop, uint64_t bytes, uint64_t read_ns)
{
    ff_counter_add(&entry(loop)->bytes, bytes);
    ff_counter_add(&entry(loop)->read_ns, read_ns);
}

int ff_loop_reply(ff_loop *loop, uint64_t used, int code)
{
    ff_ring_descriptor(&loop->ring, loop->claim.slot)->used = used;
    FF_KILL_POINT(&loop->ring.header->kill_hits, "used");
    ff_ring_status(&loop->ring, loop->claim.slot)[0] = code == 0 ? FF_ROW_DONE : FF_ROW_FAILED(code);
    FF_KILL_POINT(&loop->ring.header->kill_hits, "status");
    return ff_loop_publish(loop);
}
