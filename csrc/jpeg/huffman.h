/* huffman: the tables of a baseline JPEG's codes, and the bits that they are looked up with.
 *
 *   data --refill--> bits, left-aligned --symbol_of--> length | symbol --value_of--> coefficient
 *
 * All is inline: a block is decoded out of registers.
 */
#ifndef FF_HUFFMAN_H
#define FF_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* jpeglib.h wants stdio.h before it */
#include <jpeglib.h>

/* Bits looked up at once.  The three tables of a component fit the first-level cache together. */
#define FF_LOOK 11

typedef struct ff_huffman {
    uint16_t symbol[1 << FF_LOOK]; /* length << 8 | symbol of the code that begins so; 0: a longer one, or none */
    /* What whole symbols begin so: bits | end of block << 7 | coefficients passed << 8; 0: none is whole. */
    uint16_t steps[1 << FF_LOOK];
    /* A symbol with its value, where both are whole: bits | coefficients passed << 8 | value << 16; 0: they are not. */
    int32_t valued[1 << FF_LOOK];
    /* Longer codes, canonical: those of length n are below limit[n] (left-aligned in 16 bits) and begin at first[n]. */
    uint32_t limit[18];
    int32_t offset[17];
    uint8_t values[256];
} ff_huffman;

/* Make the tables of one code, of levels (dc) or of the other coefficients.  1, or 0: not one that a baseline JPEG has. */
int ff_huffman_make(ff_huffman *t, const JHUFF_TBL *from, int dc);

/* What n bits, at least 1, stand for: values that begin with a zero are negative. */
static inline int32_t ff_signed_value(int32_t bits, int n)
{
    return bits + (((bits >> (n - 1)) - 1) & (1 - (1 << n))); /* without a branch: signs are random */
}

typedef struct ff_bits {
    const uint8_t *next, *end;
    uint64_t bits;     /* left-aligned */
    int have, padding; /* valid bits, and how many of those are made up behind a marker */
} ff_bits;

static inline void ff_refill_slowly(ff_bits *r)
{
    while (r->have <= 56) {
        uint64_t byte = 0;
        if (r->next < r->end && *r->next != 0xff) {
            byte = *r->next++;
        } else if (r->end - r->next >= 2 && r->next[1] == 0) {
            byte = 0xff;
            r->next += 2;
        } else {
            r->padding += 8; /* a marker, or the end: zeros; a reader that uses them up has read too far */
        }
        r->bits |= byte << (56 - r->have);
        r->have += 8;
    }
}

/* At least 56 bits.  Eight bytes at once where none of them is 0xff. */
static inline void ff_refill(ff_bits *r)
{
    if (r->end - r->next >= 8) {
        uint64_t word;
        memcpy(&word, r->next, sizeof word);
        if (((~word - 0x0101010101010101u) & word & 0x8080808080808080u) == 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            word = __builtin_bswap64(word);
#endif
            r->bits |= word >> r->have;
            r->next += (63 - r->have) >> 3;
            r->have |= 56;
            return;
        }
    }
    ff_refill_slowly(r);
}

static inline void ff_drop(ff_bits *r, int n)
{
    r->bits <<= n;
    r->have -= n;
}

/* A whole symbol: length << 8 | value; 0 where there is no such code.  At least 16 bits must be there. */
static inline unsigned ff_symbol_of(const ff_bits *r, const ff_huffman *t)
{
    const unsigned found = t->symbol[r->bits >> (64 - FF_LOOK)];
    if (found != 0)
        return found;
    const uint32_t look = (uint32_t)(r->bits >> 48);
    for (int length = FF_LOOK + 1; length <= 16; length++)
        if (look < t->limit[length]) {
            const int32_t at = (int32_t)(look >> (16 - length)) + t->offset[length];
            return at >= 0 && at < 256 ? (unsigned)length << 8 | t->values[at] : 0;
        }
    return 0;
}

static inline int32_t ff_value_of(ff_bits *r, int n)
{
    const int32_t bits = (int32_t)(r->bits >> (64 - n));
    ff_drop(r, n);
    return ff_signed_value(bits, n);
}

#endif
