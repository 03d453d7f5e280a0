/* frames: every variant of a decoder's loops against the plain ones, at the edge of memory that nobody may touch.
 *
 * Whatever a loop reads or writes begins or ends at such an edge: behind the last sample, or FF_FRAME_SLACK behind it where
 * loops may go so far.
 */
#define _DEFAULT_SOURCE
#include "fuzz.h"

#include "simd/cpu.h"

#include <sys/mman.h>

enum { PLACE = 1 << 16, LONGEST = 150, TIMES = 10, BLOCKS = 4000 }; /* no page is larger than PLACE */

static uint8_t *places[7]; /* with an edge before and behind it: two for targets, five for sources */

/* One of 0 .. most - 1; the same in each run (xorshift). */
static int draw(int most)
{
    static uint64_t state = 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state >> 33) % most;
}

/* So many bytes at the beginning of a place, at its end, or a few steps before the end. */
static uint8_t *bytes_at(int place, int64_t size, int where, int step)
{
    if (where == 0)
        return places[place];
    const int64_t from_end = (size + step - 1) / step * step;
    return places[place] + PLACE - from_end - (where == 1 ? 0 : step * draw(64 / step));
}

static void fill(uint8_t *to, int64_t n)
{
    const int kind = draw(3);
    for (int64_t i = 0; i < n; i++)
        to[i] = (uint8_t)(kind == 0 ? draw(256) : kind == 1 ? 255 * draw(2) : draw(4) - 2);
}

/* Where a variant writes; the plain loop writes to the same bytes of another place, the twin. */
static uint8_t *target_at(int64_t size, int where)
{
    memset(places[0], 0xa5, PLACE);
    memset(places[1], 0xa5, PLACE);
    return bytes_at(0, size, where, 1);
}

static uint8_t *twin(uint8_t *target)
{
    return target - places[0] + places[1];
}

/* Both places hold the same, but for the slack behind the result. */
static void same(const char *variant, const char *loop, int64_t n, uint8_t *result, int64_t size, int64_t slack)
{
    uint8_t *behind = result + size + slack;
    HOLDS(memcmp(places[0], places[1], (size_t)(result + size - places[0])) == 0, "%s: %s of %d", variant, loop, (int)n);
    HOLDS(memcmp(behind, twin(behind), (size_t)(places[0] + PLACE - behind)) == 0, "%s: %s of %d goes on", variant, loop,
          (int)n);
}

static void rows(const char *name, const ff_frame_loops *loops, int64_t n)
{
    const int where = draw(3);
    const uint8_t *from[3];
    for (int k = 0; k < 3; k++) {
        uint8_t *samples = bytes_at(2 + k, 1 + n + FF_FRAME_SLACK, where, 1); /* the first is from[-1] */
        fill(samples, 1 + n + FF_FRAME_SLACK);
        from[k] = samples + 1;
    }
#define BOTH(loop, size, slack, ...)                      \
    do {                                                  \
        uint8_t *to = target_at((size) + (slack), where); \
        loops->loop(to, __VA_ARGS__);                     \
        ff_frames_plain.loop(twin(to), __VA_ARGS__);      \
        same(name, #loop, n, to, size, slack);            \
    } while (0)
    BOTH(widen, 2 * n, FF_FRAME_SLACK, from[0], n);
    BOTH(widen_between, 2 * n, FF_FRAME_SLACK, from[0], from[1], n);
    BOTH(between, n, FF_FRAME_SLACK, from[0], from[1], n, 1);
    BOTH(between, n, FF_FRAME_SLACK, from[0], from[1], n, 2);
    BOTH(rgb, 3 * n, 0, from[0], from[1], from[2], n);
}

/* All pairs of chroma, over a few values of luma. */
static void colours(const char *name, const ff_frame_loops *loops)
{
    uint8_t y[256 + FF_FRAME_SLACK], cb[256 + FF_FRAME_SLACK], cr[256 + FF_FRAME_SLACK], one[768], other[768];
    for (int b = 0; b < 256; b++)
        cb[b] = (uint8_t)b;
    for (int level = 0; level < 256; level += 51)
        for (int r = 0; r < 256; r++) {
            memset(y, level, sizeof y);
            memset(cr, r, sizeof cr);
            loops->rgb(one, y, cb, cr, 256);
            ff_frames_plain.rgb(other, y, cb, cr, 256);
            HOLDS(memcmp(one, other, sizeof one) == 0, "%s: rgb of luma %d, red %d", name, level, r);
        }
}

enum content { SMALL, LIMIT, ANYTHING };

/* SMALL, LIMIT: the absolute values of a column, dequantised, add up to less than FF_COLUMN_MOST, or to about that. */
static void draw_block(int16_t *coef, const int16_t *quantiser, enum content content)
{
    if (content == ANYTHING) {
        for (int i = 0; i < 64; i++)
            coef[i] = (int16_t)(draw(3) == 0 ? -32768 + 65535 * draw(2) : draw(65536) - 32768);
        return;
    }
    memset(coef, 0, 64 * sizeof *coef);
    for (int x = 0; x < 8; x++) {
        int left = content == LIMIT ? FF_COLUMN_MOST - 1 + draw(3) : draw(FF_COLUMN_MOST);
        for (int tries = 12; tries > 0; tries--) {
            const int at = 8 * draw(8) + x, by = quantiser[at] > 0 ? quantiser[at] : 1;
            if (coef[at] != 0)
                continue;
            const int size = (tries == 1 || draw(4) == 0 ? left : draw(left + 1)) / by;
            coef[at] = (int16_t)(draw(2) == 0 ? size : -size);
            left -= size * quantiser[at];
        }
    }
}

/* Whether the coefficients could be transformed. */
static int blocks(const char *name, const ff_frame_loops *loops)
{
    enum { COEF = 64 * sizeof(int16_t) };
    const int where = draw(3), step = draw(2) == 0 ? 1 : draw(256);
    const int64_t stride = 32 + draw(2) * draw(64);
    int16_t *quantiser = (int16_t *)(void *)bytes_at(2, COEF, where, 2);
    for (int i = 0; i < 64; i++)
        quantiser[i] = (int16_t)(step > 1 ? draw(step + 1) : draw(8) == 0 ? draw(256) : 1);
    int16_t *four[4], copies[4][64], *copied[4];
    for (int k = 0; k < 4; k++) {
        four[k] = (int16_t *)(void *)bytes_at(3 + k, COEF, where, 32);
        draw_block(four[k], quantiser, draw(8) > 0 ? SMALL : draw(3) > 0 ? LIMIT : ANYTHING);
        copied[k] = memcpy(copies[k], four[k], COEF);
    }
    uint8_t *to = target_at(7 * stride + 32, where);
    const int good = loops->transform(four, quantiser, to, stride);
    HOLDS(ff_frames_plain.transform(copied, quantiser, twin(to), stride) == good, "%s: another verdict", name);
    if (!good)
        return 0;
    same(name, "transform", 32, to, 7 * stride + 32, 0);
    for (int k = 0; k < 4; k++)
        HOLDS(memcmp(four[k], copies[k], COEF) == 0, "%s: coefficients are left", name);
    return 1;
}

static void halves(const char *name, const ff_frame_loops *loops)
{
    const int where = draw(3);
    const int64_t stride = 16 + draw(2) * draw(64);
    uint8_t *pixels = bytes_at(2, 256, where, 1), *to = target_at(3 * stride + 16, where);
    fill(pixels, 256);
    loops->halve(pixels, to, stride);
    ff_frames_plain.halve(pixels, twin(to), stride);
    same(name, "halve", 16, to, 3 * stride + 16, 0);
}

static void compare(const char *name, const ff_frame_loops *loops)
{
    for (int64_t n = 1; n <= LONGEST; n++)
        for (int i = 0; i < TIMES; i++)
            rows(name, loops, n);
    colours(name, loops);
    int good = 0;
    for (int i = 0; i < BLOCKS; i++) {
        good += blocks(name, loops);
        halves(name, loops);
    }
    HOLDS(good > BLOCKS / 4 && good < BLOCKS * 9 / 10, "%d of %d could be transformed", good, BLOCKS);
}

int main(void)
{
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        uint8_t *memory = mmap(NULL, 3 * PLACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        HOLDS(memory != MAP_FAILED, "no memory");
        places[k] = memory + PLACE;
        HOLDS(mprotect(places[k], PLACE, PROT_READ | PROT_WRITE) == 0, "no memory");
    }
    for (int i = 0; ff_simd_variant(i) != NULL; i++) {
        const char *name = ff_simd_variant(i);
        (void)ff_simd_select(name);
        if (ff_loops_active()->frames != NULL)
            compare(name, ff_loops_active()->frames);
        printf("%s\n", name);
    }
    return 0;
}
