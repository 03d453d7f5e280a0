/* limits: count blocks before they are decoded. */
#include "jpeg/limits.h"

#include <stdio.h>

/* Work for a block, measured with libjpeg-turbo 2.1: storing and showing it; refining it; giving it its first
 * coefficients; the same of arithmetic codes. */
enum { SHOWN = 18, REFINED = 4, BEGUN = 1, ARITHMETIC = 16 };

/* Allowed to a file of at most 64 KiB: 60 ms, and 47 MB of coefficients; the empty page of A4 at 300 dpi needs most of
 * it.  Larger files are allowed more in proportion. */
#define ALLOWED 7000000
#define SMALL_FILE 65536
#define USUAL_SCANS 100 /* max_scans above this one raises what is allowed */

static int too_much_work(ff_jpeg_limits *l, const struct jpeg_decompress_struct *c)
{
    snprintf(l->text, sizeof l->text,
             "scans of %d x %d pixels are too much work for a file of %zu bytes; raise max_scans if that is meant",
             (int)c->image_width, (int)c->image_height, l->size);
    return 0;
}

int ff_jpeg_limits_begin(ff_jpeg_limits *l, struct jpeg_decompress_struct *c, size_t size, int64_t max_pixels,
                         int max_scans)
{
    const int64_t width = c->image_width, height = c->image_height; /* 16 bits each in the file */
    *l = (ff_jpeg_limits){.size = size, .max_scans = max_scans};
    if (width * height > max_pixels) {
        snprintf(l->text, sizeof l->text, "%d x %d pixels are more than max_pixels = %lld; raise it if that is meant",
                 (int)width, (int)height, (long long)max_pixels);
        return 0;
    }
    if (!jpeg_has_multiple_scans(c) && !c->arith_code)
        return 1;
    const double scans = max_scans > USUAL_SCANS ? max_scans : USUAL_SCANS;
    const double files = size > SMALL_FILE ? (double)size / SMALL_FILE : 1.0;
    const double allowed = ALLOWED / USUAL_SCANS * scans * files;
    l->allowed = allowed < 1e18 ? (int64_t)allowed : (int64_t)1e18;
    for (int k = 0; k < c->num_components; k++)
        l->work += SHOWN * (int64_t)c->comp_info[k].width_in_blocks * (int64_t)c->comp_info[k].height_in_blocks;
    return l->work <= l->allowed ? 1 : too_much_work(l, c);
}

int ff_jpeg_limits_go_on(ff_jpeg_limits *l, const struct jpeg_decompress_struct *c)
{
    if (c->input_scan_number == l->scan)
        return 1;
    l->scan = c->input_scan_number;
    if (l->scan > l->max_scans) {
        snprintf(l->text, sizeof l->text, "it has more than %d scans; raise max_scans if that is meant", l->max_scans);
        return 0;
    }
    const int64_t blocks = (int64_t)c->MCUs_per_row * (int64_t)c->MCU_rows_in_scan * c->blocks_in_MCU;
    l->work += blocks * (c->arith_code ? ARITHMETIC : c->Ah != 0 ? REFINED : BEGUN);
    return l->work <= l->allowed ? 1 : too_much_work(l, c);
}
