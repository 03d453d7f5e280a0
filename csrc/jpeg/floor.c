/* floor: decode as anybody would write it: one decompressor an image, one line a call. */
#include "jpeg/floor.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

/* jpeglib.h wants stdio.h before it */
#include <jpeglib.h>

#include "base/codes.h"

typedef struct decoder {
    struct jpeg_decompress_struct c; /* first: libjpeg's callbacks are handed a pointer to it */
    struct jpeg_error_mgr errors;
    jmp_buf landing;
} decoder;

static void on_error(j_common_ptr c)
{
    longjmp(((decoder *)(void *)c)->landing, 1);
}

static void no_output(j_common_ptr c)
{
    (void)c;
}

static int finish(decoder *d, int code)
{
    jpeg_destroy_decompress(&d->c);
    free(d);
    return code;
}

int ff_jpeg_floor(const uint8_t *data, size_t size, uint8_t *rgb, size_t capacity)
{
    decoder *const d = calloc(1, sizeof *d);
    if (d == NULL)
        return FF_E_MEMORY;
    d->c.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.output_message = no_output;
    if (setjmp(d->landing))
        return finish(d, FF_E_CORRUPT);
    jpeg_create_decompress(&d->c);
    jpeg_mem_src(&d->c, data, (unsigned long)size);
    (void)jpeg_read_header(&d->c, TRUE);
    d->c.out_color_space = JCS_RGB;
    (void)jpeg_start_decompress(&d->c);
    const size_t stride = (size_t)d->c.output_width * 3;
    if (d->c.output_components != 3 || capacity / stride < d->c.output_height)
        return finish(d, FF_E_LIMIT);
    while (d->c.output_scanline < d->c.output_height) {
        JSAMPROW row = rgb + stride * d->c.output_scanline;
        (void)jpeg_read_scanlines(&d->c, &row, 1);
    }
    (void)jpeg_finish_decompress(&d->c);
    return finish(d, FF_OK);
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *ff_jpeg_version(void)
{
    return TEXT(LIBJPEG_TURBO_VERSION);
}
