/* scan: the bits of a baseline JPEG's scan, without the zero that is stuffed behind each 0xff.
 *
 *   data --ff_scan_fill--> bytes, unstuffed, as far as a marker --ff_scan_refill--> bits, left-aligned
 *
 * What is at hand after a fill suffices for FF_STRIP blocks of any content, so that decoding looks at nothing but bits.
 * Behind a marker, or the end of the data, what is read means nothing; ff_scan_overran says that some of it was used.
 */
#ifndef FF_SCAN_H
#define FF_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FF_STRIP 48 /* blocks decoded between two fills */

/* The most that a block takes: a level of 16 + 11 bits and 63 coefficients of 16 + 10. */
#define FF_BLOCK_BYTES 209
#define FF_STRIP_BYTES (FF_STRIP * FF_BLOCK_BYTES + 16)
#define FF_SCAN_BYTES (2 * FF_STRIP_BYTES)

typedef struct ff_scan {
    const uint8_t *from, *end; /* data that is still stuffed */
    int at_marker;             /* from lies at a marker, or at the end */
    const uint8_t *next, *limit;
    uint64_t bits;
    int have; /* how many of them are valid; next follows behind these */
    uint8_t bytes[FF_SCAN_BYTES + FF_STRIP_BYTES];
} ff_scan;

void ff_scan_begin(ff_scan *s, const uint8_t *data, const uint8_t *end);

void ff_scan_unstuff(ff_scan *s);

/* Have at hand what FF_STRIP blocks may take, or all as far as the next marker. */
static inline void ff_scan_fill(ff_scan *s)
{
    if (!s->at_marker && s->limit - s->next < FF_STRIP_BYTES)
        ff_scan_unstuff(s);
}

/* Whether bits were used that are not there. */
static inline int ff_scan_overran(const ff_scan *s)
{
    return (s->next - s->limit) * 8 > s->have;
}

/* Go on behind the restart marker of this number.  0: it is not what comes next. */
int ff_scan_restart(ff_scan *s, unsigned number);

/* After the last block: 1 where the end marker follows, at most with restarts and stray bytes before it. */
int ff_scan_ended_well(const ff_scan *s);

/* Bits in registers: 56 at least after a refill. */
typedef struct ff_bits {
    uint64_t bits;
    unsigned have;
    const uint8_t *next;
} ff_bits;

static inline void ff_refill(ff_bits *b)
{
    uint64_t word;
    memcpy(&word, b->next, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    b->bits |= word >> b->have;
    b->next += (63 - b->have) >> 3;
    b->have |= 56;
}

static inline ff_bits ff_scan_bits(const ff_scan *s)
{
    return (ff_bits){s->bits, (unsigned)s->have, s->next};
}

static inline void ff_scan_put_back(ff_scan *s, ff_bits b)
{
    s->bits = b.bits;
    s->have = (int)b.have;
    s->next = b.next;
}

#endif
