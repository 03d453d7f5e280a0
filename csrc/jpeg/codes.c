/* codes: lay out the look-up tables of a pair of codes, and keep them for the next image. */
#include "jpeg/codes.h"

#include <stdlib.h>
#include <string.h>

#define LOOKS (1u << FF_LOOK)

/* What whole symbols, with their values, begin so: bits | how far the position moves << 8 | value << 16; FF_END for the end of
 * a block; 0: not whole. */
typedef int32_t valued[LOOKS];

/* A code of this length, followed by the value's bits: what it says of all that begins so. */
static void put_valued(valued table, uint32_t code, int length, int symbol, int dc)
{
    const int extra = symbol & 15, run = symbol >> 4, whole = length + extra;
    if (whole > FF_LOOK)
        return;
    const int move = dc ? 0 : extra != 0 || run == 15 ? run + 1 : FF_END;
    int32_t *to = table + (code << (FF_LOOK - length));
    for (int32_t bits = 0; bits < 1 << extra; bits++) {
        const int32_t value = extra == 0 ? 0 : ff_signed_value(bits, extra);
        const int32_t one = whole | move << 8 | value * 65536;
        for (int k = 0; k < 1 << (FF_LOOK - whole); k++)
            *to++ = one;
    }
}

static int make_code(ff_code *c, valued table, const JHUFF_TBL *from, int dc)
{
    memset(c, 0, sizeof *c);
    memset(table, 0, sizeof(valued));
    uint32_t code = 0;
    int32_t at = 0;
    for (int length = 1; length <= 16; length++) {
        c->offset[length] = at - (int32_t)code;
        for (int i = 0; i < from->bits[length]; i++, at++, code++) {
            if (at >= 256 || code >= 1u << length)
                return 0;
            const uint8_t value = from->huffval[at];
            if (dc ? value > 11 : (value & 15) > 10) /* more than a baseline coefficient has */
                return 0;
            c->values[at] = value;
            if (length > FF_LOOK)
                continue;
            for (uint32_t k = 0; k < 1u << (FF_LOOK - length); k++)
                c->symbol[(code << (FF_LOOK - length)) + k] = (uint16_t)(length << 8 | value);
            put_valued(table, code, length, value, dc);
        }
        if (code == 1u << length) /* all ones is no code */
            return 0;
        c->limit[length] = code << (16 - length);
        code <<= 1;
    }
    return 1;
}

unsigned ff_code_long(const ff_code *code, uint64_t bits)
{
    const uint32_t look = (uint32_t)(bits >> 48);
    for (int length = FF_LOOK + 1; length <= 16; length++)
        if (look < code->limit[length]) {
            const int32_t at = (int32_t)(look >> (16 - length)) + code->offset[length];
            return at >= 0 && at < 256 ? (unsigned)length << 8 | code->values[at] : 0;
        }
    return 0;
}

static uint64_t entry(uint64_t bits, uint64_t move, uint64_t first_move, int32_t first, int32_t second)
{
    return bits | move << 8 | first_move << 16 | (uint64_t)(uint16_t)first << 32 | (uint64_t)(uint16_t)second << 48;
}

/* first: of this table's symbols; second: of coefficients. */
static void make_entries(uint64_t *table, const ff_code *code, const int32_t *first, const int32_t *second)
{
    for (uint32_t look = 0; look < LOOKS; look++) {
        const int32_t one = first[look];
        const int bits = one & 0xff, move = one >> 8 & 0xff;
        if (one == 0) {
            const unsigned symbol = code->symbol[look];
            table[look] = symbol == 0 ? entry(0, FF_ASIDE, FF_ASIDE, 0, 0)
                                      : entry(symbol >> 8, FF_ASIDE, FF_ASIDE, 256 | (int)(symbol & 255), 0);
            continue;
        }
        if (move == FF_END) {
            table[look] = entry((uint64_t)bits, FF_END, FF_ASIDE, 0, 0);
            continue;
        }
        const int32_t two = second[look << bits & (LOOKS - 1)];
        const int more = two & 0xff;
        if (two == 0 || bits + more > FF_LOOK)
            table[look] = entry((uint64_t)bits, (uint64_t)move, (uint64_t)move, one >> 16, one >> 16);
        else
            table[look] = entry((uint64_t)(bits + more), (uint64_t)(move + (two >> 8 & 0xff)), (uint64_t)move, one >> 16,
                                two >> 16);
    }
}

static void make_passes(uint16_t *table, const ff_code *code)
{
    const uint32_t all = (1u << FF_PASS) - 1;
    for (uint32_t look = 0; look <= all; look++) {
        int used = 0, move = 0;
        while (used < FF_PASS && move < FF_END) {
            const unsigned symbol = code->symbol[(look << used & all) >> (FF_PASS - FF_LOOK)];
            const int length = (int)(symbol >> 8), run = symbol >> 4 & 15, extra = symbol & 15;
            const int more = extra != 0 || run == 15 ? run + 1 : FF_END;
            if (symbol == 0 || used + length > FF_PASS || used + length + extra > FF_PASS_MOST ||
                (more != FF_END && move + more > 63))
                break;
            move += more;
            used += length + extra;
        }
        table[look] = (uint16_t)(used == 0 ? FF_ASIDE << 8 : used | move << 8);
    }
}

static int make(ff_codes *c, const JHUFF_TBL *dc, const JHUFF_TBL *ac)
{
    valued levels, others;
    if (!make_code(&c->dc_code, levels, dc, 1) || !make_code(&c->ac_code, others, ac, 0))
        return 0;
    make_entries(c->dc, &c->dc_code, levels, others);
    make_entries(c->ac, &c->ac_code, others, others);
    c->passes = 0;
    c->dc_from = *dc;
    c->ac_from = *ac;
    return 1;
}

static int same_code(const JHUFF_TBL *a, const JHUFF_TBL *b)
{
    return memcmp(a->bits, b->bits, sizeof a->bits) == 0 && memcmp(a->huffval, b->huffval, sizeof a->huffval) == 0;
}

static ff_codes *kept(ff_code_store *store, const JHUFF_TBL *dc, const JHUFF_TBL *ac)
{
    int oldest = 0;
    for (int i = 0; i < FF_CODES_KEPT; i++) {
        ff_codes *c = store->made[i];
        if (c != NULL && c->used != 0 && same_code(&c->dc_from, dc) && same_code(&c->ac_from, ac))
            return c;
        if (store->made[oldest] != NULL && (c == NULL || c->used < store->made[oldest]->used))
            oldest = i;
    }
    ff_codes *c = store->made[oldest];
    if (c == NULL)
        c = store->made[oldest] = malloc(sizeof *c);
    if (c == NULL)
        return NULL;
    c->used = 0;
    return make(c, dc, ac) ? c : NULL;
}

const ff_codes *ff_codes_for(ff_code_store *store, const JHUFF_TBL *dc, const JHUFF_TBL *ac, int passing)
{
    ff_codes *c = kept(store, dc, ac);
    if (c == NULL)
        return NULL;
    c->used = ++store->now;
    if (passing && !c->passes)
        make_passes(c->pass, &c->ac_code);
    c->passes |= passing;
    return c;
}

void ff_codes_free(ff_code_store *store)
{
    for (int i = 0; i < FF_CODES_KEPT; i++)
        free(store->made[i]);
}
