/* library: libjpeg as the targets compare with it. */
#ifndef FF_FUZZ_LIBRARY_H
#define FF_FUZZ_LIBRARY_H

#include "fuzz.h"

#include <jpeglib.h>
#include <setjmp.h>

#include <jerror.h>

typedef struct library {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    jmp_buf landing;
    int damage; /* it has said that pixels are wrong */
} library;

static inline void on_error(j_common_ptr c)
{
    longjmp(((library *)(void *)c)->landing, 1);
}

static inline void on_message(j_common_ptr c, int level)
{
    library *l = (library *)(void *)c;
    const int code = l->errors.msg_code;
    if (level < 0 && (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC))
        l->damage = 1;
}

/* Its header read; NULL where the library refuses it. */
static inline library *opened(const uint8_t *data, size_t size)
{
    library *l = room(sizeof *l);
    memset(l, 0, sizeof *l);
    l->c.err = jpeg_std_error(&l->errors);
    l->errors.error_exit = on_error;
    l->errors.emit_message = on_message;
    jpeg_create_decompress(&l->c);
    if (setjmp(l->landing)) {
        jpeg_destroy_decompress(&l->c);
        free(l);
        return NULL;
    }
    jpeg_mem_src(&l->c, data, size);
    (void)jpeg_read_header(&l->c, TRUE);
    return l;
}

static inline void closed(library *l)
{
    jpeg_destroy_decompress(&l->c);
    free(l);
}

#endif
