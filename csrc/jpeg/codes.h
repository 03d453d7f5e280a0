/* codes: the Huffman codes of one component of a baseline JPEG, laid out so that a look-up gives up to two coefficients.
 *
 * An entry holds what whole symbols, with their values, begin with FF_LOOK bits:
 *
 *   bits  0-7   how many bits they take
 *         8-15  how far the position in the block moves in all; FF_END more where the block ends
 *        16-23  how far it moves to the first value
 *        32-47  the first value
 *        48-63  the second one; where there is one only, the same again
 *
 * Where not even one is whole, bits 8-23 hold FF_ASIDE twice.  If its code is whole and only its value is not, bits 0-7
 * have the length of the code and bits 32-40 are 256 | symbol; otherwise the code is longer than FF_LOOK, or there is none.
 * Values at positions of FF_ASIDE and more are written where nobody reads them.
 */
#ifndef FF_CODES_H
#define FF_CODES_H

#include <stdint.h>
#include <stdio.h>

/* jpeglib.h wants stdio.h before it */
#include <jpeglib.h>

#define FF_LOOK 10 /* so that the tables of luma and chroma fit the first-level cache together */
#define FF_PASS 11 /* bits looked up where blocks are passed over, */
#define FF_PASS_MOST 15 /* and the most that are passed over at once */
#define FF_ASIDE 64
#define FF_END 128

/* One code, canonical: codes of length n are below limit[n] (left-aligned in 16 bits) and begin at offset[n]. */
typedef struct ff_code {
    uint16_t symbol[1 << FF_LOOK]; /* length << 8 | symbol of the code that begins so; 0: a longer one, or none */
    uint32_t limit[18];
    int32_t offset[17];
    uint8_t values[256];
} ff_code;

typedef struct ff_codes {
    uint64_t ac[1 << FF_LOOK]; /* first: Arm would add an offset between one look-up and the next */
    uint64_t dc[1 << FF_LOOK];
    /* Bits 0-15 of the same, of as many symbols as have whole codes; their values may go on behind the bits looked up.  Made
     * when first asked for. */
    uint16_t pass[1 << FF_PASS];
    ff_code dc_code, ac_code;
    int passes; /* pass is made */
    JHUFF_TBL dc_from, ac_from; /* what they were made from */
    uint64_t used;              /* when last */
} ff_codes;

/* A JPEG has up to three pairs; most of them have the two that the standard gives. */
#define FF_CODES_KEPT 6

typedef struct ff_code_store {
    ff_codes *made[FF_CODES_KEPT];
    uint64_t now;
} ff_code_store;

/* The tables of this pair of codes, kept from image to image; passing: blocks will be passed over.  NULL: not ones that a
 * baseline JPEG has, or no memory. */
const ff_codes *ff_codes_for(ff_code_store *store, const JHUFF_TBL *dc, const JHUFF_TBL *ac, int passing);
void ff_codes_free(ff_code_store *store);

/* A whole symbol that begins these bits (left-aligned): length << 8 | value; 0 where there is no such code. */
unsigned ff_code_long(const ff_code *code, uint64_t bits);

static inline unsigned ff_code_symbol(const ff_code *code, uint64_t bits)
{
    const unsigned found = code->symbol[bits >> (64 - FF_LOOK)];
    return found != 0 ? found : ff_code_long(code, bits);
}

/* What n bits, at least 1, stand for: values that begin with a zero are negative. */
static inline int32_t ff_signed_value(int32_t bits, int n)
{
    return bits + (((bits >> (n - 1)) - 1) & (1 - (1 << n))); /* without a branch: signs are random */
}

#endif
