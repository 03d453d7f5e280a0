/* clock: the time by which everything is measured. */
#ifndef FF_CLOCK_H
#define FF_CLOCK_H

#include <stdint.h>

uint64_t ff_now_ns(void); /* CLOCK_MONOTONIC, which all processes of a machine share */

#endif
