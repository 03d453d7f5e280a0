/* exif: the orientation in untrusted bytes against a second reader, which asks for each byte and gets none behind the end. */
#include "fuzz.h"

#include "jpeg/exif.h"
#include "jpeg/header.h"

static int64_t number(const uint8_t *data, size_t size, uint64_t at, int bytes, int big)
{
    int64_t value = 0;
    for (int k = 0; k < bytes; k++) {
        const uint64_t place = at + (uint64_t)(big ? k : bytes - 1 - k);
        if (place >= size)
            return -1;
        value = value << 8 | data[place];
    }
    return value;
}

static int expected_in(const uint8_t *data, size_t size)
{
    if (size < 14 || memcmp(data, "Exif\0\0", 6) != 0)
        return 0;
    const int big = memcmp(data + 6, "MM", 2) == 0;
    if (!big && memcmp(data + 6, "II", 2) != 0)
        return 0;
    const int64_t ifd = number(data, size, 10, 4, big), count = number(data, size, 6 + (uint64_t)ifd, 2, big);
    if (number(data, size, 8, 2, big) != 42 || count < 0)
        return 0;
    for (int64_t k = 0; k < count; k++) {
        const uint64_t entry = 8 + (uint64_t)ifd + 12 * (uint64_t)k;
        if (entry + 12 > size)
            return 0;
        if (number(data, size, entry, 2, big) != 0x0112)
            continue;
        const int64_t kind = number(data, size, entry + 2, 2, big);
        if (number(data, size, entry + 4, 4, big) != 1 || (kind != 3 && kind != 4))
            return 1;
        const int64_t value = number(data, size, entry + 8, kind == 3 ? 2 : 4, big);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int have = ff_exif_orientation(data, size), expected = expected_in(data, size);
    HOLDS(have == expected, "%d, expected %d", have, expected);

    /* The same bytes in a JPEG are found there, whole. */
    if (size > 6 && size < 65533 && memcmp(data, "Exif\0\0", 6) == 0) {
        uint8_t *jpeg = room(size + 6);
        memcpy(jpeg, "\xff\xd8\xff\xe1", 4);
        jpeg[4] = (uint8_t)((size + 2) >> 8);
        jpeg[5] = (uint8_t)(size + 2);
        memcpy(jpeg + 6, data, size);
        size_t length = 0;
        const uint8_t *payload = ff_jpeg_app1(jpeg, size + 6, FF_EXIF, &length);
        HOLDS(payload == jpeg + 6 && length == size, "%zu of %zu bytes", length, size);
        free(jpeg);
    }
    size_t length = 0;
    int64_t width, height;
    for (int kind = FF_EXIF; kind <= FF_XMP; kind++) {
        const uint8_t *payload = ff_jpeg_app1(data, size, (enum ff_app1)kind, &length);
        HOLDS(payload == NULL || (payload > data && payload + length <= data + size), "a payload beyond the end");
    }
    const int upright = ff_jpeg_orientation(data, size), named = ff_xmp_orientation(data, size);
    HOLDS(upright >= 1 && upright <= 8 && named >= 0 && named <= 8, "%d, %d", upright, named);
    (void)ff_jpeg_size(data, size, &width, &height);
    (void)ff_jpeg_may_begin(data, size);
    return 0;
}
