/* header: walk the segments of untrusted bytes. */
#include "jpeg/header.h"

#include <string.h>

#include "base/codes.h"

typedef struct walk {
    size_t at;     /* the next segment */
    size_t length; /* of the payload last found */
    size_t stray;  /* bytes between segments; all that is left, where what lies there cannot be a segment */
} walk;

static int is_jpeg(const uint8_t *data, size_t size)
{
    return size >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
}

/* Walk the segments of the header up to wanted (a marker, or 0xc0 for any frame header): its payload, or NULL. */
static const uint8_t *segment(const uint8_t *data, size_t size, int wanted, walk *w)
{
    size_t p = w->at;
    while (p + 4 <= size) {
        if (data[p] != 0xff) {
            p++; /* the decoder passes over them too */
            w->stray++;
            continue;
        }
        const int marker = data[p + 1];
        if (marker == 0xff || marker == 0x00 || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
            p += marker == 0xff ? 1 : 2;
            continue;
        }
        const size_t n = (size_t)data[p + 2] << 8 | data[p + 3];
        if (marker == 0xd9 || n < 2) {
            w->stray += size - p;
            return NULL;
        }
        if (p + 2 + n > size)
            return NULL;
        const int frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (marker == wanted || (wanted == 0xc0 && frame)) {
            w->at = p + 2 + n;
            w->length = n - 2;
            return data + p + 4;
        }
        if (marker == 0xda)
            return NULL;
        p += 2 + n;
    }
    return NULL;
}

int ff_jpeg_may_begin(const uint8_t *data, size_t size)
{
    walk w = {0};
    if (!is_jpeg(data, size))
        return 0;
    (void)segment(data, size, 0xda, &w);
    return w.stray <= size / 2;
}

const uint8_t *ff_jpeg_app1(const uint8_t *data, size_t size, enum ff_app1 kind, size_t *length)
{
    static const struct {
        const char *name;
        size_t length;
    } names[] = {[FF_EXIF] = {"Exif\0", 6}, [FF_XMP] = {"http://ns.adobe.com/xap/1.0/", 29}};
    walk w = {0};
    const uint8_t *payload;
    while ((payload = segment(data, size, 0xe1, &w)) != NULL)
        if (w.length >= names[kind].length && memcmp(payload, names[kind].name, names[kind].length) == 0) {
            *length = w.length;
            return payload;
        }
    return NULL;
}

int ff_jpeg_size(const uint8_t *data, size_t size, int64_t *width, int64_t *height)
{
    if (!is_jpeg(data, size))
        return FF_E_NOT_JPEG;
    walk w = {0};
    const uint8_t *frame = segment(data, size, 0xc0, &w);
    if (frame == NULL || w.length < 6)
        return FF_E_TRUNCATED;
    *height = (int64_t)frame[1] << 8 | frame[2];
    *width = (int64_t)frame[3] << 8 | frame[4];
    return *width > 0 && *height > 0 ? FF_OK : FF_E_CORRUPT;
}
