/* process: what a worker process does to itself before it begins. */
#ifndef FF_PROCESS_H
#define FF_PROCESS_H

/* Settle in: a session of its own, no core dumps, first to go when memory runs out, a thread that ends this process when
 * the consumer's pidfd says that it is gone, or the next descriptor, a pipe, that it has become another program;
 * interrupts ignored, descriptors above last_fd closed and the others kept from this process's own children.  0, or a
 * negative errno. */
int ff_process_settle(int consumer_pidfd, unsigned number, int last_fd);

/* For workers that run the user's code: let free() keep some megabytes for the next item.  glibc starts by giving what is
 * freed at the end of the heap back to the system, and the next item pays for it with page faults, until a block beyond
 * its limits is freed and raises them: mallopt(3), M_MMAP_THRESHOLD.  Elsewhere this does nothing. */
void ff_process_keep_heap(void);

#endif
