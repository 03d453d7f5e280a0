/* process: settle in, and keep an eye on the consumer. */
#define _GNU_SOURCE
#include "ring/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *watch(void *argument)
{
    /* The process is gone; or the pipe has no other end any more, since the process has become another program. */
    int consumer = (int)(intptr_t)argument;
    struct pollfd gone[2] = {{.fd = consumer, .events = POLLIN}, {.fd = consumer + 1, .events = POLLIN}};
    while (poll(gone, 2, -1) < 0 && errno == EINTR)
        ;
    /* A worker leads its process group, its children with it. */
    if (getpgrp() == getpid())
        kill(0, SIGKILL);
    _exit(0);
}

static void do_nothing(int number)
{
    (void)number;
}

/* Halfway up: before the trainer, after a process that asked to go first.  Raising needs no privilege. */
static void raise_oom_score(void)
{
    char now[16] = {0};
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, now, sizeof now - 1) > 0 && atoi(now) < 500) {
        ssize_t written = pwrite(fd, "500", 3, 0);
        (void)written;
    }
    close(fd);
}

int ff_process_settle(int consumer_pidfd, unsigned number, int last_fd)
{
    /* A terminal stops background groups that print, under `stty tostop`, or that read; it cannot stop a session that it
       does not control. */
    setsid();
    /* Started with SIGINT blocked: from here on it may come, and does nothing.  By a handler, which what the user's code
       starts does not inherit, as it would SIG_IGN. */
    sigset_t nothing;
    sigemptyset(&nothing);
    struct sigaction ignored = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &ignored, NULL);
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
    raise_oom_score();
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &small, watch, (void *)(intptr_t)consumer_pidfd);
    pthread_attr_destroy(&small);
    return -error;
}

void ff_process_keep_heap(void)
{
    /* Blocks up to this, and twice as much at the end of the heap, stay; no page of it is touched. */
    void *volatile block = malloc(16 << 20);
    free(block);
}
