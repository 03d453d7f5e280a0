/* scan: unstuff the bytes of a scan, piece by piece; restart markers, and what follows the last block. */
#include "jpeg/scan.h"

#define EOI 0xd9
#define RST0 0xd0

void ff_scan_begin(ff_scan *s, const uint8_t *data, const uint8_t *end)
{
    s->from = data;
    s->end = end;
    s->at_marker = 0;
    s->next = s->limit = s->bytes;
    s->bits = 0;
    s->have = 0;
}

void ff_scan_unstuff(ff_scan *s)
{
    /* next may have run on behind limit. */
    const size_t left = s->limit > s->next ? (size_t)(s->limit - s->next) : 0;
    memmove(s->bytes, s->next, left);
    s->next -= s->limit - left - s->bytes;
    uint8_t *to = s->bytes + left, *const full = s->bytes + FF_SCAN_BYTES;
    while (to < full) {
        const size_t room = (size_t)(full - to), data = (size_t)(s->end - s->from), most = room < data ? room : data;
        const uint8_t *found = memchr(s->from, 0xff, most);
        const size_t n = found == NULL ? most : (size_t)(found - s->from);
        memcpy(to, s->from, n);
        to += n;
        s->from += n;
        if (found == NULL) {
            if (s->from < s->end)
                continue; /* full */
            s->at_marker = 1;
            break;
        }
        if (s->end - found < 2 || found[1] != 0) {
            s->at_marker = 1;
            break;
        }
        *to++ = 0xff;
        s->from += 2;
    }
    s->limit = to;
}

int ff_scan_restart(ff_scan *s, unsigned number)
{
    ff_scan_fill(s);
    /* Less than a byte of the interval may be left. */
    if (ff_scan_overran(s) || (s->limit - s->next) * 8 + s->have >= 8)
        return 0;
    if (!s->at_marker || s->end - s->from < 2 || s->from[0] != 0xff || s->from[1] != RST0 + (number & 7))
        return 0;
    ff_scan_begin(s, s->from + 2, s->end);
    return 1;
}

int ff_scan_ended_well(const ff_scan *s)
{
    for (const uint8_t *p = s->from; p + 1 < s->end; p++) {
        if (p[0] != 0xff || p[1] == 0xff)
            continue;
        if (p[1] == EOI)
            return 1;
        if (p[1] > 0x01 && (p[1] < RST0 || p[1] > RST0 + 7))
            return 0;
        p++;
    }
    return 0;
}
