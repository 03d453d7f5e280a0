/* philox: random numbers that are a function of (seed, epoch, index, op, draw) and of nothing else.
 *
 * Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
#ifndef FF_PHILOX_H
#define FF_PHILOX_H

#include "base/key.h"

/* The draw-th uniform number in [0, 1) of transform number op, with 53 bits. */
double ff_uniform(const ff_key *key, uint32_t op, uint32_t draw);

#endif
