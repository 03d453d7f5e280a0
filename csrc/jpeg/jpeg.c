/* jpeg: drive libjpeg-turbo: limits, errors by longjmp, windows, and the colour spaces that it leaves to its caller.
 * After the header our own reader takes over what is plain, and hands back what it does not understand.
 *
 *   open     a new decompressor; header, limits, whether the end is there
 *   start    scale, colour space, columns cut off (jpeg_crop_scanline), rows skipped (jpeg_skip_scanlines)
 *   lines    one call of jpeg_read_scanlines each
 *   stop     what follows the last row; the object is aborted, not finished, so rows below the window cost nothing
 *
 * Each function that calls libjpeg sets its own landing place: an error comes back there with the decompressor aborted, and
 * so does a warning that means damage.
 */
#define _GNU_SOURCE
#include "jpeg/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jpeglib.h wants stdio.h before it */
#include <jpeglib.h>

#include <jerror.h>

#include "jpeg/baseline.h"
#include "jpeg/limits.h"
#include "simd/cpu.h"

struct ff_jpeg {
    struct jpeg_decompress_struct c; /* first: libjpeg's callbacks are handed a pointer to it */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf landing;
    char message[JMSG_LENGTH_MAX]; /* of the error, or of the warning that means damage */
    int code;                      /* set by our own callbacks where they raise */
    const uint8_t *checked;        /* before it, what lies in front of restart markers has been looked at */
    ff_jpeg_limits limits;
    int channels;
    ff_baseline *baseline; /* made when first wanted */
    int own;               /* it gives the lines, and not the library */
    int denominator;
    int64_t left, pixels; /* of a line, */
    int64_t next_line, n_lines;
    JSAMPARRAY whole_line; /* where the library goes on for a reader whose lines are narrower than its own */
};

#define SAID "%s: %.140s" /* what it is, and what the library says */
#define NO_END "no end marker"
#define COMMON(jpeg) ((j_common_ptr) & (jpeg)->c)

static ff_jpeg *owner(j_common_ptr c)
{
    return (ff_jpeg *)(void *)c;
}

static void on_error(j_common_ptr c)
{
    ff_jpeg *j = owner(c);
    c->err->format_message(c, j->message);
    longjmp(j->landing, 1);
}

static void raise_code(ff_jpeg *j, int code, const char *message)
{
    j->code = code;
    snprintf(j->message, sizeof j->message, "%s", message);
    longjmp(j->landing, 1);
}

/* Some encoders fill up each restart interval with whole bytes of zeros or ones.  n: bytes that the library has passed
 * over since it last said so, which is not at every marker; so all markers since then are looked at. */
static int is_padding(ff_jpeg *j, size_t n)
{
    size_t padding = 0, run = 0;
    const uint8_t *end = j->c.src->next_input_byte;
    for (const uint8_t *p = j->checked; p < end; p++) {
        if (*p >= 0xd0 && *p <= 0xd7 && run > 0 && p[-1] == 0xff) {
            padding += run - 1;
            run = 0;
        } else {
            run = *p == 0x00 || *p == 0xff ? run + 1 : 0;
        }
    }
    j->checked = end;
    return n <= padding + run;
}

/* Which warnings mean that pixels are wrong.  The rest, an odd JFIF version for one, do no harm, nor do stray bytes
 * between segments or behind the last block; before a restart marker inside a scan they say that the scan went astray,
 * unless they are padding. */
static int means_damage(ff_jpeg *j)
{
    const struct jpeg_error_mgr *said = &j->errors;
    switch (said->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
#if JPEG_LIB_VERSION >= 70 || defined(C_ARITH_CODING_SUPPORTED) || defined(D_ARITH_CODING_SUPPORTED)
    case JWRN_ARITH_BAD_CODE:
#endif
    case JWRN_MUST_RESYNC:
        return 1;
    case JWRN_EXTRANEOUS_DATA:
        return said->msg_parm.i[1] >= 0xd0 && said->msg_parm.i[1] <= 0xd7 && j->c.restart_interval != 0 &&
               j->c.input_iMCU_row < j->c.total_iMCU_rows && !is_padding(j, (size_t)said->msg_parm.i[0]);
    default:
        return 0;
    }
}

/* Decoding stops at the first damage: what a damaged scan leaves would be refused in the end, whatever it cost. */
static void on_message(j_common_ptr c, int level)
{
    if (level < 0 && means_damage(owner(c)))
        on_error(c);
}

static void no_output(j_common_ptr c)
{
    (void)c;
}

static void init_source(j_decompress_ptr c)
{
    (void)c;
}

static boolean fill_source(j_decompress_ptr c)
{
    raise_code(owner((j_common_ptr)c), FF_E_TRUNCATED, NO_END);
    return FALSE;
}

static void skip_source(j_decompress_ptr c, long count)
{
    if (count <= 0)
        return;
    if ((size_t)count > c->src->bytes_in_buffer)
        fill_source(c);
    c->src->next_input_byte += count;
    c->src->bytes_in_buffer -= (size_t)count;
}

/* Called before each row of each scan, where there are several. */
static void on_progress(j_common_ptr c)
{
    ff_jpeg *j = owner(c);
    if (!ff_jpeg_limits_go_on(&j->limits, &j->c))
        raise_code(j, FF_E_LIMIT, j->limits.text);
}

/* The landing place of every error: abort, and say which kind it was. */
static int landed(ff_jpeg *j, char err[FF_ERR_LEN])
{
    const int code = j->code != FF_OK ? j->code : FF_E_CORRUPT;
    const int library = j->errors.msg_code;
    jpeg_abort(COMMON(j));
    if (code == FF_E_LIMIT)
        return ff_fail(err, code, SAID, "the JPEG is beyond a limit", j->message);
    if (code == FF_E_TRUNCATED)
        return ff_fail(err, code, SAID, "the JPEG ends before its image does", j->message);
    if (library == JERR_OUT_OF_MEMORY)
        return ff_fail(err, FF_E_MEMORY, SAID, "no memory to decode the JPEG", j->message);
    if (library == JERR_SOF_UNSUPPORTED || library == JERR_BAD_PRECISION || library == JERR_ARITH_NOTIMPL)
        return ff_fail(err, code, SAID, "libjpeg-turbo has no decoder for this kind of JPEG; save it as a baseline one",
                       j->message);
    return ff_fail(err, code, SAID, "the JPEG is corrupt", j->message);
}

ff_jpeg *ff_jpeg_new(void)
{
    ff_jpeg *j = calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    j->c.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    j->errors.output_message = no_output;
    j->source.init_source = init_source;
    j->source.fill_input_buffer = fill_source;
    j->source.skip_input_data = skip_source;
    j->source.resync_to_restart = jpeg_resync_to_restart;
    j->source.term_source = init_source;
    j->progress.progress_monitor = on_progress;
    return j;
}

void ff_jpeg_free(ff_jpeg *j)
{
    if (j == NULL)
        return;
    jpeg_destroy(COMMON(j));
    ff_baseline_free(j->baseline);
    free(j);
}

/* Whether the end marker is there.  It is looked for before anything is decoded, or a truncated file would be found out
 * or not as the crop would have it. */
static int has_end(const uint8_t *data, size_t size)
{
    const uint8_t *p;
    while (size >= 2 && (p = memrchr(data + 1, JPEG_EOI, size - 1)) != NULL) {
        if (p[-1] == 0xff)
            return 1;
        size = (size_t)(p - data);
    }
    return 0;
}

int ff_jpeg_open(ff_jpeg *j, const uint8_t *data, size_t size, int64_t max_pixels, int max_scans, char err[FF_ERR_LEN])
{
    if (size < 3 || data[0] != 0xff || data[1] != 0xd8 || data[2] != 0xff)
        return ff_fail(err, FF_E_NOT_JPEG, "not a JPEG: it does not begin with FF D8 FF");
    j->code = FF_OK;
    j->own = 0;
    j->message[0] = '\0';
    j->errors.num_warnings = 0;
    j->errors.msg_code = 0;
    if (setjmp(j->landing))
        return landed(j, err);
    /* One that is only aborted keeps the tables of the last image, and lends them to one that has none. */
    jpeg_destroy(COMMON(j));
    jpeg_create_decompress(&j->c);
    j->c.src = &j->source;
    j->source.next_input_byte = data;
    j->source.bytes_in_buffer = size;
    (void)jpeg_read_header(&j->c, TRUE);

    if (!ff_jpeg_limits_begin(&j->limits, &j->c, size, max_pixels, max_scans))
        raise_code(j, FF_E_LIMIT, j->limits.text);
    switch (j->c.jpeg_color_space) {
    case JCS_GRAYSCALE:
        j->c.out_color_space = JCS_GRAYSCALE;
        j->channels = 1;
        break;
    case JCS_RGB:
    case JCS_YCbCr:
        j->c.out_color_space = JCS_RGB;
        j->channels = 3;
        break;
    case JCS_CMYK:
    case JCS_YCCK:
        j->c.out_color_space = JCS_CMYK;
        j->channels = 3;
        break;
    default:
        raise_code(j, FF_E_CORRUPT, "its colour space is none of grey, RGB and CMYK");
    }
    if (!has_end(j->source.next_input_byte, j->source.bytes_in_buffer))
        raise_code(j, FF_E_TRUNCATED, NO_END);
    j->checked = j->source.next_input_byte;
    if (jpeg_has_multiple_scans(&j->c))
        j->c.progress = &j->progress;
    return FF_OK;
}

int64_t ff_jpeg_width(const ff_jpeg *j)
{
    return j->c.image_width;
}

int64_t ff_jpeg_height(const ff_jpeg *j)
{
    return j->c.image_height;
}

int ff_jpeg_channels(const ff_jpeg *j)
{
    return j->channels;
}

/* Whether scans are missing, so that the library smooths over the edges of blocks; it would stop at a cut. */
static int is_smoothed(const struct jpeg_decompress_struct *c)
{
    if (!c->progressive_mode || c->coef_bits == NULL)
        return 0;
    for (int k = 0; k < c->num_components; k++)
        for (int i = 1; i < 10; i++) /* as far as it looks */
            if (c->coef_bits[k][i] != 0)
                return 1;
    return 0;
}

/* Where libjpeg-turbo cuts columns exactly: tried for every usual sampling, at every scale, with versions 2.1 and 3.
 * Components at 4x2 come out wrong at reduced scales, so what is not usual is decoded in its full width. */
static int cuts_exactly(const ff_jpeg *j)
{
    if (is_smoothed(&j->c) || !ff_jpeg_has_blocks(&j->c))
        return 0;
    const jpeg_component_info *k = j->c.comp_info;
    for (int c = 0; c < j->c.num_components; c++) {
        const int luma = c == 0 || c == 3; /* or black */
        if (luma ? k[c].h_samp_factor != k[0].h_samp_factor || k[c].v_samp_factor != k[0].v_samp_factor
                 : k[c].h_samp_factor != 1 || k[c].v_samp_factor != 1)
            return 0;
    }
    return k[0].h_samp_factor * k[0].v_samp_factor <= 4;
}

int ff_jpeg_reduces_well(const ff_jpeg *j, int denominator)
{
    const jpeg_component_info *luma = j->c.comp_info;
    const int h = luma->h_samp_factor, v = luma->v_samp_factor;
    if (j->c.num_components == 1 || (h == 1 && v == 1) || (h == 2 && v == 2))
        return cuts_exactly(j); /* the library reduces it as well */
    /* libjpeg reduces chroma that is subsampled one way only twice as far as luma, or worse; our own reader does not */
    return denominator > 1 && ff_baseline_takes(&j->c);
}

/* Room for one of the library's lines, as long as the image is open; to be called with a landing place set. */
static JSAMPARRAY a_line(ff_jpeg *j)
{
    const JDIMENSION width = j->c.output_width * (JDIMENSION)j->c.output_components;
    return j->c.mem->alloc_sarray(COMMON(j), JPOOL_IMAGE, width, 1);
}

/* To be called with a landing place set. */
static void start_library(ff_jpeg *j, int denominator, const ff_window *window)
{
    j->c.scale_num = 1;
    j->c.scale_denom = (unsigned)denominator;
    (void)jpeg_start_decompress(&j->c); /* a progressive file is entropy-decoded here, all of it */
    j->left = 0;
    if ((window->x0 > 0 || window->x1 < (int64_t)j->c.output_width) && cuts_exactly(j)) {
        /* Chroma is upsampled from its neighbours, and the decoder invents those at the edge of what it is told to keep:
         * keep one chroma pixel more on either side, two for good measure. */
        const int64_t margin = 2 * j->c.max_h_samp_factor;
        const int64_t x0 = window->x0 > margin ? window->x0 - margin : 0;
        const int64_t x1 = window->x1 + margin < (int64_t)j->c.output_width ? window->x1 + margin : j->c.output_width;
        JDIMENSION left = (JDIMENSION)x0, width = (JDIMENSION)(x1 - x0);
        jpeg_crop_scanline(&j->c, &left, &width);
        j->left = left;
    }
    j->pixels = j->c.output_width;
    if (ff_jpeg_has_blocks(&j->c)) {
        if (window->y0 > 0)
            (void)jpeg_skip_scanlines(&j->c, (JDIMENSION)window->y0);
        return;
    }
    JSAMPARRAY line = a_line(j);
    while (j->c.output_scanline < (JDIMENSION)window->y0)
        (void)jpeg_read_scanlines(&j->c, line, 1);
}

/* A reader gave up: the library goes on from the next line, in the reader's geometry, and says what is wrong if anything
 * is.  To be called with a landing place set. */
static void go_on_with_library(ff_jpeg *j, int64_t line)
{
    const ff_window rest = {0, ff_jpeg_reduced(j->c.image_width, j->denominator), line, j->n_lines};
    const int64_t left = j->left, pixels = j->pixels;
    j->own = 0;
    start_library(j, j->denominator, &rest);
    j->whole_line = pixels != j->pixels ? a_line(j) : NULL;
    j->left = left;
    j->pixels = pixels;
}

/* Whether our own reader takes it. */
static int start_own(ff_jpeg *j, int denominator, const ff_window *window)
{
    const ff_frame_loops *loops = ff_loops_active()->frames;
    if (loops == NULL || !ff_baseline_takes(&j->c))
        return 0;
    if (j->baseline == NULL)
        j->baseline = ff_baseline_new();
    if (j->baseline == NULL || !ff_baseline_begin(j->baseline, loops, &j->c, denominator, window))
        return 0;
    j->left = ff_baseline_left(j->baseline);
    j->pixels = ff_baseline_pixels(j->baseline);
    return 1;
}

int ff_jpeg_start(ff_jpeg *j, int denominator, const ff_window *window, char err[FF_ERR_LEN])
{
    j->denominator = denominator;
    j->n_lines = ff_jpeg_reduced(j->c.image_height, denominator);
    j->next_line = window->y0;
    j->whole_line = NULL;
    j->own = start_own(j, denominator, window);
    if (j->own)
        return FF_OK;
    if (setjmp(j->landing))
        return landed(j, err);
    start_library(j, denominator, window);
    return FF_OK;
}

int64_t ff_jpeg_left(const ff_jpeg *j)
{
    return j->left;
}

int64_t ff_jpeg_line_pixels(const ff_jpeg *j)
{
    return j->pixels;
}

size_t ff_jpeg_line_bytes(const ff_jpeg *j)
{
    return (size_t)j->pixels * (size_t)(j->own ? j->channels : j->c.output_components);
}

int ff_jpeg_lines_at_once(const ff_jpeg *j)
{
    if (j->own)
        return 2;
    return j->c.rec_outbuf_height > j->c.max_v_samp_factor ? j->c.rec_outbuf_height : j->c.max_v_samp_factor;
}

/* Adobe's CMYK is stored inverted, and everybody assumes that of every CMYK file.  RGB is what Pillow's conversion makes
 * of it: the ink subtracted from the black, products of bytes divided by 255 and rounded.  In place: RGB is narrower. */
static void cmyk_to_rgb(uint8_t *line, int64_t n)
{
    const uint8_t *from = line;
    for (int64_t i = 0; i < n; i++, from += 4, line += 3) {
        const int white = from[3];
        for (int c = 0; c < 3; c++) {
            const int product = (255 - from[c]) * white + 128;
            line[c] = (uint8_t)(white - ((product + (product >> 8)) >> 8));
        }
    }
}

const char *ff_jpeg_reader(const ff_jpeg *j)
{
    return j->own ? "baseline" : "libjpeg-turbo";
}

/* As many of the next lines as our own reader gives. */
static int read_own(ff_jpeg *j, uint8_t **lines, int n)
{
    int got = 0;
    while (got < n && j->next_line < j->n_lines && ff_baseline_line(j->baseline, lines[got])) {
        got++;
        j->next_line++;
    }
    return got;
}

/* The same of the library; to be called with a landing place set. */
static int read_library(ff_jpeg *j, uint8_t **lines, int n)
{
    if (j->whole_line != NULL) {
        const size_t channels = (size_t)j->channels; /* a reader has none of the kinds that are converted here */
        if (jpeg_read_scanlines(&j->c, j->whole_line, 1) != 1)
            return 0;
        memcpy(lines[0], j->whole_line[0] + (size_t)j->left * channels, (size_t)j->pixels * channels);
        return 1;
    }
    const int got = (int)jpeg_read_scanlines(&j->c, lines, (JDIMENSION)n);
    if (j->c.out_color_space == JCS_CMYK)
        for (int i = 0; i < got; i++)
            cmyk_to_rgb(lines[i], j->c.output_width);
    return got;
}

int ff_jpeg_lines(ff_jpeg *j, uint8_t **lines, int n, char err[FF_ERR_LEN])
{
    if (j->own) {
        const int got = read_own(j, lines, n);
        if (got > 0)
            return got;
    }
    if (setjmp(j->landing))
        return landed(j, err);
    if (j->own)
        go_on_with_library(j, j->next_line);
    const int got = read_library(j, lines, n);
    if (got <= 0)
        raise_code(j, FF_E_CORRUPT, "the decoder stopped");
    return got;
}

/* With the last row read, the end marker must follow; Pillow, too, calls a file without it truncated. */
static void finish_library(ff_jpeg *j)
{
    if (j->own) { /* what follows its last row is unusual: the library says whether it will do */
        go_on_with_library(j, j->n_lines - 1);
        (void)jpeg_read_scanlines(&j->c, a_line(j), 1);
    }
    if (j->c.output_scanline == j->c.output_height)
        (void)jpeg_finish_decompress(&j->c);
}

int ff_jpeg_stop(ff_jpeg *j, char err[FF_ERR_LEN])
{
    if (setjmp(j->landing))
        return landed(j, err);
    if (!j->own || (j->next_line >= j->n_lines && !ff_baseline_ended_well(j->baseline)))
        finish_library(j);
    jpeg_abort(COMMON(j));
    return FF_OK;
}

void ff_jpeg_abandon(ff_jpeg *j)
{
    jpeg_abort(COMMON(j));
}
