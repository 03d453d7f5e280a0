/* exif: find the orientation in untrusted bytes. */
#define _GNU_SOURCE
#include "jpeg/exif.h"

#include <string.h>

#include "jpeg/header.h"

#define TIFF_AT 6 /* after "Exif\0\0"; every offset inside counts from here */
#define TAG_ORIENTATION 0x0112u
#define TYPE_SHORT 3u
#define TYPE_LONG 4u
#define ENTRY_SIZE 12u /* tag 2, type 2, count 4, value 4 */

static uint32_t read16(const uint8_t *p, int big)
{
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t read32(const uint8_t *p, int big)
{
    return big ? read16(p, 1) << 16 | read16(p + 2, 1) : read16(p + 2, 0) << 16 | read16(p, 0);
}

int ff_exif_orientation(const uint8_t *data, size_t size)
{
    if (data == NULL || size < TIFF_AT + 8 || memcmp(data, "Exif\0\0", TIFF_AT) != 0)
        return 0;
    const uint8_t *tiff = data + TIFF_AT;
    const size_t length = size - TIFF_AT;
    const int big = tiff[0] == 'M';
    if (!(tiff[0] == tiff[1] && (tiff[0] == 'M' || tiff[0] == 'I')) || read16(tiff + 2, big) != 42)
        return 0;
    const size_t ifd0 = read32(tiff + 4, big);
    if (ifd0 > length - 2) /* length is at least 8 here */
        return 0;
    const uint8_t *entry = tiff + ifd0 + 2;
    size_t room = (length - ifd0 - 2) / ENTRY_SIZE; /* entries that are really there, whatever the count says */
    const size_t count = read16(tiff + ifd0, big);
    if (room > count)
        room = count;
    for (; room > 0; room--, entry += ENTRY_SIZE) {
        if (read16(entry, big) != TAG_ORIENTATION)
            continue;
        const uint32_t type = read16(entry + 2, big);
        uint32_t value = 0;
        if (read32(entry + 4, big) == 1 && type == TYPE_SHORT)
            value = read16(entry + 8, big);
        else if (read32(entry + 4, big) == 1 && type == TYPE_LONG) /* not allowed, but written by some cameras */
            value = read32(entry + 8, big);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}

int ff_xmp_orientation(const uint8_t *data, size_t size)
{
    static const char name[] = "tiff:Orientation", attribute[] = "=\"", element[] = ">";
    const uint8_t *end = data + size;
    while (data != NULL && (data = memmem(data, (size_t)(end - data), name, sizeof name - 1)) != NULL) {
        data += sizeof name - 1;
        const size_t left = (size_t)(end - data);
        const uint8_t *digit = left >= 3 && memcmp(data, attribute, 2) == 0 ? data + 2
                               : left >= 2 && memcmp(data, element, 1) == 0 ? data + 1
                                                                            : NULL;
        if (digit != NULL && *digit >= '0' && *digit <= '9')
            return *digit >= '1' && *digit <= '8' ? *digit - '0' : 0;
    }
    return 0;
}

int ff_jpeg_orientation(const uint8_t *data, size_t size)
{
    size_t length = 0;
    const uint8_t *exif = ff_jpeg_app1(data, size, FF_EXIF, &length);
    int orientation = exif != NULL ? ff_exif_orientation(exif, length) : 0;
    if (orientation == 0) {
        const uint8_t *xmp = ff_jpeg_app1(data, size, FF_XMP, &length);
        orientation = xmp != NULL ? ff_xmp_orientation(xmp, length) : 0;
    }
    return orientation != 0 ? orientation : 1;
}
