/* permute: a keyed permutation of 0..n-1, evaluated index by index in constant memory.
 *
 * A Feistel network over a rectangle a little larger than n, with cycle walking: Black and Rogaway, "Ciphers with
 * arbitrary finite domains", CT-RSA 2002.  It mixes well; it keeps no secrets.
 */
#ifndef FF_PERMUTE_H
#define FF_PERMUTE_H

#include <stdint.h>

/* Where position goes; position < n, n up to 2^64 - 1.  The same (n, seed, epoch) gives a bijection. */
uint64_t ff_permute(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t position);

#endif
