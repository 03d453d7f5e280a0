/* clock: CLOCK_MONOTONIC, read and waited for. */
#define _GNU_SOURCE
#include "base/clock.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

uint64_t ff_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int ff_timer_new(void)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return timer < 0 ? -errno : timer;
}

void ff_timer_set(int timer, uint64_t after_ns)
{
    struct itimerspec once = {.it_value = {(time_t)(after_ns / 1000000000u), (long)(after_ns % 1000000000u)}};
    timerfd_settime(timer, 0, &once, NULL);
}

int ff_timer_take(int timer)
{
    uint64_t times;
    return read(timer, &times, sizeof times) == (ssize_t)sizeof times;
}
