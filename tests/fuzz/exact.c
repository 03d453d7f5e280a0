/* exact: the baseline reader against libjpeg-turbo.
 *
 * Where the reader gives all lines of a window and finds the end, the library decodes the file without a word of damage, and
 * its pixels in the window are the same; every variant of the loops gives as many lines as the plain one, with the same
 * pixels.
 */
#include "library.h"

#include "jpeg/baseline.h"
#include "simd/cpu.h"

enum { MAX_PIXELS = 1 << 14, HEADER = 4 };

/* The lines of a window, from its left edge to its right one; how many bytes they have.  ended: whether all were there, and
 * behind the last one of the frame its end. */
static size_t lines_of(const uint8_t *data, size_t size, const ff_frame_loops *loops, const ff_window *window,
                        uint8_t *pixels, int *ended)
{
    library *l = opened(data, size);
    ff_baseline *d = ff_baseline_new();
    size_t done = 0;
    *ended = 0;
    if (ff_baseline_begin(d, loops, &l->c, 1, window)) {
        const size_t channels = l->c.num_components == 1 ? 1 : 3, wide = (size_t)ff_baseline_pixels(d) * channels;
        const size_t wanted = (size_t)(window->x1 - window->x0) * channels;
        const size_t skip = (size_t)(window->x0 - ff_baseline_left(d)) * channels;
        HOLDS(window->x0 >= ff_baseline_left(d) && skip + wanted <= wide, "the line does not hold the window");
        uint8_t *line = room(wide);
        int64_t y = window->y0;
        for (; y < window->y1 && ff_baseline_line(d, line); y++, done += wanted)
            memcpy(pixels + done, line + skip, wanted);
        free(line);
        *ended = y == window->y1 && (y < (int64_t)l->c.image_height || ff_baseline_ended_well(d));
    }
    ff_baseline_free(d);
    closed(l);
    return done;
}

static void against_library(const uint8_t *data, size_t size, const ff_window *window, const uint8_t *pixels)
{
    library *l = opened(data, size);
    uint8_t *volatile line = NULL;
    if (setjmp(l->landing))
        HOLDS(0, "libjpeg-turbo refuses what the reader has decoded");
    l->c.out_color_space = l->c.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    (void)jpeg_start_decompress(&l->c);
    const size_t channels = l->c.num_components == 1 ? 1 : 3;
    const size_t wanted = (size_t)(window->x1 - window->x0) * channels;
    line = room(l->c.output_width * channels);
    for (int64_t y = 0; y < window->y1; y++) {
        uint8_t *row = line;
        (void)jpeg_read_scanlines(&l->c, &row, 1);
        HOLDS(!l->damage, "libjpeg-turbo finds damage where the reader has decoded");
        if (y >= window->y0)
            HOLDS(memcmp(row + (size_t)window->x0 * channels, pixels + (size_t)(y - window->y0) * wanted, wanted) == 0,
                  "line %d is not that of libjpeg-turbo", (int)y);
    }
    free(line);
    closed(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= HEADER)
        return 0;
    const uint8_t *at = data;
    data += HEADER;
    size -= HEADER;
    library *l = opened(data, size);
    if (l == NULL)
        return 0;
    const int64_t width = l->c.image_width, height = l->c.image_height;
    closed(l);
    if (width * height > MAX_PIXELS)
        return 0;
    ff_window window = {at[0] % width, 0, at[1] % height, 0};
    window.x1 = window.x0 + 1 + at[2] % (width - window.x0);
    window.y1 = window.y0 + 1 + at[3] % (height - window.y0);
    if (at[0] % 4 == 0)
        window = (ff_window){0, width, 0, height};

    const size_t most = (size_t)(width * height) * 3;
    uint8_t *plain = room(most), *other = room(most);
    int ended, also;
    const size_t bytes = lines_of(data, size, &ff_frames_plain, &window, plain, &ended);
    for (int i = 0; ff_simd_variant(i) != NULL; i++) {
        const char *name = ff_simd_variant(i);
        (void)ff_simd_select(name);
        HOLDS(lines_of(data, size, ff_loops_active()->frames, &window, other, &also) == bytes, "%s: other lines", name);
        HOLDS(also == ended && memcmp(plain, other, bytes) == 0, "%s: other pixels", name);
    }
    if (ended)
        against_library(data, size, &window, plain);
    free(plain);
    free(other);
    return 0;
}
