/* philox: Philox4x32-10, and uniform numbers drawn from it; its state is the key that the caller passes. */
#include "random/philox.h"

/* Multipliers and Weyl increments of the paper's table 2: the golden ratio and sqrt(3) - 1, as 32-bit fractions. */
#define MULTIPLY_0 0xD2511F53u
#define MULTIPLY_1 0xCD9E8D57u
#define WEYL_0 0x9E3779B9u
#define WEYL_1 0xBB67AE85u
#define ROUNDS 10

static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)MULTIPLY_0 * c[0];
        const uint64_t p1 = (uint64_t)MULTIPLY_1 * c[2];
        const uint32_t c1 = c[1], c3 = c[3];
        c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c[1] = (uint32_t)p1;
        c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c[3] = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
}

/* One block takes 192 bits of key and counter and a draw is named by 256, so there are two blocks: the seed and the
 * epoch make an epoch key, and that key with index, op and draw makes the number. */
double ff_uniform(const ff_key *key, uint32_t op, uint32_t draw)
{
    uint32_t epoch[4] = {(uint32_t)key->epoch, (uint32_t)(key->epoch >> 32), 0, 0};
    philox(epoch, (uint32_t)key->seed, (uint32_t)(key->seed >> 32));
    uint32_t c[4] = {(uint32_t)key->index, (uint32_t)(key->index >> 32), op, draw};
    philox(c, epoch[0], epoch[1]);
    const uint64_t bits = (uint64_t)c[0] << 32 | c[1];
    return (double)(bits >> 11) * 0x1p-53; /* 53 bits: all that a double in [0, 1) holds evenly */
}
