/* clock: the time by which everything is measured. */
#ifndef FF_CLOCK_H
#define FF_CLOCK_H

#include <stdint.h>

uint64_t ff_now_ns(void); /* CLOCK_MONOTONIC, which all processes of a machine share */

/* A descriptor that becomes readable when its time has come, for whichever process reads it first; closed on exec.  Its
 * number, or a negative errno.  Then let the time come after so many nanoseconds, 1 or more; and take it: 1 if it had. */
int ff_timer_new(void);
void ff_timer_set(int timer, uint64_t after_ns);
int ff_timer_take(int timer);

#endif
