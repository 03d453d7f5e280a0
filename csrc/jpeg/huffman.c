/* huffman: lay out the look-up tables of one code. */
#include "jpeg/huffman.h"

int ff_huffman_make(ff_huffman *t, const JHUFF_TBL *from, int dc)
{
    memset(t, 0, sizeof *t);
    uint32_t code = 0;
    int32_t at = 0;
    for (int length = 1; length <= 16; length++) {
        t->offset[length] = at - (int32_t)code;
        for (int i = 0; i < from->bits[length]; i++, at++, code++) {
            if (at >= 256 || code >= 1u << length)
                return 0;
            const uint8_t value = from->huffval[at];
            if (dc ? value > 11 : (value & 15) > 10) /* more than a baseline coefficient has */
                return 0;
            t->values[at] = value;
            if (length <= FF_LOOK)
                for (uint32_t k = 0; k < 1u << (FF_LOOK - length); k++)
                    t->symbol[(code << (FF_LOOK - length)) + k] = (uint16_t)(length << 8 | value);
        }
        if (code == 1u << length) /* all ones is no code */
            return 0;
        t->limit[length] = code << (16 - length);
        code <<= 1;
    }
    if (dc)
        return 1;
    for (uint32_t look = 0; look < 1u << FF_LOOK; look++) {
        int used = 0, passed = 0, end = 0;
        while (used < FF_LOOK && !end) {
            const uint16_t symbol = t->symbol[look << used & ((1u << FF_LOOK) - 1)];
            const int run = symbol >> 4 & 15, extra = symbol & 15, whole = (symbol >> 8) + extra;
            const int step = run + 1; /* a run of 15 without a value is 16 zeros: the same step */
            if (symbol == 0 || used + whole > FF_LOOK)
                break;
            if (extra == 0 && run != 15)
                end = 1;
            else if (passed + step > 63)
                break;
            else
                passed += step;
            used += whole;
        }
        t->steps[look] = (uint16_t)(used | end << 7 | passed << 8);

        const uint16_t symbol = t->symbol[look];
        const int extra = symbol & 15, whole = (symbol >> 8) + extra;
        if (extra != 0 && whole <= FF_LOOK) {
            const int32_t bits = (int32_t)(look >> (FF_LOOK - whole)) & ((1 << extra) - 1);
            t->valued[look] = whole | ((symbol >> 4 & 15) + 1) << 8 | ff_signed_value(bits, extra) * 65536;
        }
    }
    return 1;
}
