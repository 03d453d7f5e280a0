/* blocks: the loops that entropy decoding spends its time in.
 *
 * What bounds them is the way from one look-up to the next: shift, load, shift.  So nothing else lies on that way: an entry
 * says at once how many bits it takes and how far the position moves, its values are written beside it, and one branch a
 * step sees to all that is unusual: the end of a block, a value or a code that is not whole, a block that is full.
 */
#include "jpeg/blocks.h"

/* Natural order of a position; those behind the last one lead to where nobody reads. */
static const uint8_t NATURAL[192] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,
    7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
};

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define BITS_OF(entry) ((unsigned)(entry) & 0xff)
#define MOVE_OF(entry) ((entry) >> 8 & 0xff)
#define FIRST_MOVE_OF(entry) ((entry) >> 16 & 0xff)
#define FIRST_OF(entry) ((int16_t)((entry) >> 32))
#define SECOND_OF(entry) ((int16_t)((entry) >> 48))
#define RUN_OF(symbol) ((symbol) >> 4 & 15)
#define ENDS_BLOCK(symbol) (((symbol) & 15) == 0 && RUN_OF(symbol) != 15)

/* The value behind a code whose symbol is known; at least length + n of the bits are valid. */
static inline int32_t value_behind(uint64_t bits, unsigned length, unsigned n)
{
    return n == 0 ? 0 : ff_signed_value((int32_t)(bits << length >> (64 - n)), (int)n);
}

/* One symbol by the long way.  0: no such code. */
static unsigned symbol_at(ff_bits *b, const ff_code *code, int32_t *value)
{
    ff_refill(b);
    const unsigned found = ff_code_symbol(code, b->bits), n = found & 15;
    *value = value_behind(b->bits, found >> 8, n);
    b->bits <<= (found >> 8) + n;
    b->have -= (found >> 8) + n;
    return found;
}

/* The level of a block, and where its table gives one at once and more is wanted, what follows; from after a refill.
 * 0: a code that no baseline JPEG has.  position: of the last value. */
static inline __attribute__((always_inline)) int read_level(ff_bits *b, int16_t *coef, const ff_codes *codes, int more,
                                                            uint64_t *position)
{
    const uint64_t e = codes->dc[b->bits >> (64 - FF_LOOK)];
    if (LIKELY(MOVE_OF(e) != FF_ASIDE)) {
        *position = MOVE_OF(e);
        if (more)
            coef[NATURAL[*position]] = SECOND_OF(e);
        coef[0] = FIRST_OF(e);
        b->bits <<= BITS_OF(e);
        b->have -= BITS_OF(e);
        return 1;
    }
    int32_t value;
    ff_bits slow = *b;
    if (symbol_at(&slow, &codes->dc_code, &value) == 0)
        return 0;
    ff_refill(&slow); /* it may have taken 27 bits */
    *b = slow;
    coef[0] = (int16_t)value;
    *position = 0;
    return 1;
}

/* What both loops over the values of a block, in b behind position, look up next. */
#define STEP                                                                                                               \
    e = codes->ac[b.bits >> (64 - FF_LOOK)];                                                                               \
    next = position + MOVE_OF(e);                                                                                          \
    if (next >= 63)                                                                                                        \
        goto unusual;                                                                                                      \
    coef[NATURAL[next]] = SECOND_OF(e);                                                                                    \
    coef[NATURAL[position + FIRST_MOVE_OF(e)]] = FIRST_OF(e);                                                              \
    position = next;                                                                                                       \
    b.bits <<= BITS_OF(e);                                                                                                 \
    b.have -= BITS_OF(e)

/* What is unusual about this entry: 1 and the position behind it, FF_END or more at the end of the block; or 0: a code that no
 * baseline JPEG has. */
static inline __attribute__((always_inline)) int read_unusual(ff_bits *b, int16_t *coef, const ff_codes *codes, uint64_t e,
                                                              uint64_t *position)
{
    const uint64_t next = *position + MOVE_OF(e);
    if (LIKELY(next >= FF_END && next < FF_END + 63)) {
        coef[NATURAL[*position + FIRST_MOVE_OF(e)]] = FIRST_OF(e);
        b->bits <<= BITS_OF(e);
        b->have -= BITS_OF(e);
        *position = FF_END;
        return 1;
    }
    unsigned symbol;
    int32_t value;
    if (LIKELY(MOVE_OF(e) == FF_ASIDE && FIRST_OF(e) != 0)) { /* the code is whole, its value is not */
        symbol = (unsigned)FIRST_OF(e) & 255;
        const unsigned length = BITS_OF(e), n = symbol & 15;
        value = value_behind(b->bits, length, n);
        b->bits <<= length + n;
        b->have -= length + n;
    } else {
        ff_bits slow = *b;
        symbol = symbol_at(&slow, &codes->ac_code, &value);
        *b = slow;
        if (symbol == 0)
            return 0;
        if (ENDS_BLOCK(symbol)) {
            *position = FF_END;
            return 1;
        }
    }
    *position += RUN_OF(symbol) + 1;
    if (*position > 63)
        return 0;
    coef[NATURAL[*position]] = (int16_t)value;
    ff_refill(b);
    return 1;
}

/* One block, from after a refill.  0: a code that no baseline JPEG has. */
static inline __attribute__((always_inline)) int read_block(ff_bits *at, int16_t *coef, const ff_codes *codes)
{
    ff_bits b = *at; /* a copy whose address nobody has stays in registers */
    uint64_t position, e, next;
    if (!read_level(&b, coef, codes, 1, &position))
        return 0;
    while (position < 63) {
        /* A look-up needs FF_LOOK bits, and three entries take at most as many each; a value that is not whole takes 10
         * bits more than its code, and ends the round. */
        STEP;
        STEP;
        STEP;
        ff_refill(&b);
        continue;
    unusual:
        if (!read_unusual(&b, coef, codes, e, &position))
            return 0;
    }
    *at = b;
    return 1;
}

/* Step over the rest of a block, behind position.  0: a code that no baseline JPEG has. */
static inline __attribute__((always_inline)) int pass_rest(ff_bits *at, uint64_t position, const ff_codes *codes)
{
    ff_bits b = *at;
    for (;;) {
        uint64_t e, next; /* 3 FF_PASS_MOST + FF_PASS bits a round */
#define PASS_STEP                                                                                                               \
    e = codes->pass[b.bits >> (64 - FF_PASS)];                                                                             \
    next = position + (e >> 8);                                                                                            \
    if (next >= 63)                                                                                                        \
        goto unusual;                                                                                                      \
    position = next;                                                                                                       \
    b.bits <<= BITS_OF(e);                                                                                                 \
    b.have -= BITS_OF(e)
        ff_refill(&b);
        PASS_STEP;
        PASS_STEP;
        PASS_STEP;
#undef PASS_STEP
        continue;
    unusual:
        if (LIKELY(next >= FF_END && next < FF_END + 63)) {
            b.bits <<= BITS_OF(e);
            b.have -= BITS_OF(e);
            break;
        }
        int32_t value;
        ff_bits slow = b;
        const unsigned symbol = symbol_at(&slow, &codes->ac_code, &value);
        b = slow;
        if (symbol == 0)
            return 0;
        if (ENDS_BLOCK(symbol))
            break;
        position += RUN_OF(symbol) + 1;
        if (position > 63)
            return 0;
        if (position == 63)
            break;
    }
    *at = b;
    return 1;
}

/* One block as far as position keep - 1, from after a refill; unless that is the level, a few values behind may be written as
 * well. */
static inline __attribute__((always_inline)) int read_first(ff_bits *at, int16_t *coef, const ff_codes *codes, unsigned keep)
{
    ff_bits b = *at;
    uint64_t position, e, next;
    if (!read_level(&b, coef, codes, keep > 1, &position))
        return 0;
    while (position + 1 < keep) {
        /* How many look-ups are needed would be a guess for the processor: three, though fewer might do. */
        STEP;
        STEP;
        STEP;
        ff_refill(&b);
        continue;
    unusual:
        if (!read_unusual(&b, coef, codes, e, &position))
            return 0;
    }
    if (position < 63 && !pass_rest(&b, position, codes))
        return 0;
    *at = b;
    return 1;
}

/* Both, once for any processor and once for those that shift by any register without a detour through the flags: a third
 * of the time of a step. */
#define DEFINE_BLOCKS(suffix, target)                                                                                      \
    target static int read_blocks##suffix(ff_scan *s, ff_block *blocks, const ff_codes *const *codes, int n)              \
    {                                                                                                                      \
        ff_bits b = ff_scan_bits(s);                                                                                       \
        int good = 1;                                                                                                      \
        for (int i = 0; i < n && good; i++) {                                                                              \
            ff_refill(&b);                                                                                                 \
            good = read_block(&b, blocks[i].coef, codes[i]);                                                               \
        }                                                                                                                  \
        ff_scan_put_back(s, b);                                                                                            \
        return good;                                                                                                       \
    }                                                                                                                      \
    target static int read_firsts##suffix(ff_scan *s, ff_block *blocks, const ff_codes *const *codes, const uint8_t *keep, \
                                          int n)                                                                           \
    {                                                                                                                      \
        ff_bits b = ff_scan_bits(s);                                                                                       \
        int good = 1;                                                                                                      \
        for (int i = 0; i < n && good; i++) {                                                                              \
            ff_refill(&b);                                                                                                 \
            good = keep[i] == 64 ? read_block(&b, blocks[i].coef, codes[i])                                                \
                                 : read_first(&b, blocks[i].coef, codes[i], keep[i]);                                      \
        }                                                                                                                  \
        ff_scan_put_back(s, b);                                                                                            \
        return good;                                                                                                       \
    }

DEFINE_BLOCKS(, )
#if defined(__x86_64__)
DEFINE_BLOCKS(_bmi2, __attribute__((target("bmi,bmi2"))))
#else
#define read_blocks_bmi2 read_blocks
#define read_firsts_bmi2 read_firsts
#endif

int ff_blocks_read(ff_scan *s, int bmi2, ff_block *blocks, const ff_codes *const *codes, int n)
{
    return bmi2 ? read_blocks_bmi2(s, blocks, codes, n) : read_blocks(s, blocks, codes, n);
}

int ff_blocks_read_first(ff_scan *s, int bmi2, ff_block *blocks, const ff_codes *const *codes, const uint8_t *keep, int n)
{
    return bmi2 ? read_firsts_bmi2(s, blocks, codes, keep, n) : read_firsts(s, blocks, codes, keep, n);
}
