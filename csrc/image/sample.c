/* sample: reads one entry of the source table and runs the plan on it. */
#define _GNU_SOURCE
#include "image/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

int ff_table_attach(ff_table *table, const void *base, uint64_t total)
{
    const uint64_t *words = base;
    if (total < 24 || words[0] > (total - 24) / 8 || words[1] > FF_TABLE_BYTES)
        return -1;
    table->count = words[0];
    table->kind = words[1];
    table->offsets = words + 2;
    table->blob = (const uint8_t *)(table->offsets + table->count + 1);
    table->blob_bytes = total - (table->count + 3) * 8;
    return 0;
}

int ff_sample_init(ff_sample *sample, const ff_plan *plan, const ff_plan *store, const ff_table *table, uint64_t seed)
{
    memset(sample, 0, sizeof *sample);
    sample->plan = *plan;
    sample->table = *table;
    sample->seed = seed;
    if (store != NULL) {
        sample->store = *store;
        sample->has_calls = 1;
        sample->pixels = malloc(ff_plan_row_bytes(plan));
    }
    sample->image = ff_image_new();
    if (sample->image == NULL || (sample->has_calls && sample->pixels == NULL)) {
        ff_sample_free(sample);
        return FF_E_MEMORY;
    }
    return 0;
}

void ff_sample_free(ff_sample *sample)
{
    if (sample->image != NULL)
        ff_image_free(sample->image);
    free(sample->pixels);
    free(sample->buffer);
    sample->image = NULL;
    sample->pixels = sample->buffer = NULL;
}

/* Room for size bytes; a little more than needed, so that a folder of similar files grows the buffer once or twice. */
static int reserve(ff_sample *sample, size_t size)
{
    if (size <= sample->capacity)
        return 0;
    size_t capacity = size + size / 4;
    uint8_t *buffer = realloc(sample->buffer, capacity);
    if (buffer == NULL)
        return ff_fail(sample->err, FF_E_MEMORY, "no memory to read the file");
    sample->buffer = buffer;
    sample->capacity = capacity;
    return 0;
}

static int read_open_file(ff_sample *sample, int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return ff_fail(sample->err, FF_E_OPEN, "cannot be examined: %s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return ff_fail(sample->err, FF_E_NOT_FILE, "%s",
                       S_ISDIR(info.st_mode) ? "is a directory, not a file" : "is not a regular file");
    if (info.st_size > sample->plan.max_bytes)
        return ff_fail(sample->err, FF_E_LIMIT, "file has %lld bytes, the limit is %lld", (long long)info.st_size,
                       (long long)sample->plan.max_bytes);
    size_t want = (size_t)info.st_size, have = 0;
    int code = reserve(sample, want);
    if (code != 0)
        return code;
    while (have < want) {
        ssize_t got = read(fd, sample->buffer + have, want - have);
        if (got == 0)
            return ff_fail(sample->err, FF_E_OPEN, "the file shrank while it was read");
        if (got < 0 && errno != EINTR)
            return ff_fail(sample->err, FF_E_OPEN, "cannot be read: %s", strerror(errno));
        have += got > 0 ? (size_t)got : 0;
    }
    if (want == 0)
        return ff_fail(sample->err, FF_E_TRUNCATED, "the file is empty");
    sample->data = sample->buffer;
    sample->size = want;
    return 0;
}

static int read_path(ff_sample *sample, const char *path)
{
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return ff_fail(sample->err, FF_E_OPEN, "cannot be opened: %s", strerror(errno));
    int code = read_open_file(sample, fd);
    close(fd);
    return code;
}

static int fetch(ff_sample *sample, int64_t index)
{
    const ff_table *table = &sample->table;
    if (index < 0 || (uint64_t)index >= table->count)
        return ff_fail(sample->err, FF_E_OPEN, "the index is outside the source");
    uint64_t from = table->offsets[index], to = table->offsets[index + 1];
    if (from >= to || to > table->blob_bytes)
        return ff_fail(sample->err, FF_E_TRUNCATED, "no data");
    if (table->kind == FF_TABLE_PATHS)
        return read_path(sample, (const char *)table->blob + from);
    sample->data = table->blob + from;
    sample->size = to - from;
    return 0;
}

/* The native plan has run: finished, or the callables come next. */
static int planned(const ff_sample *sample, int code)
{
    return code == 0 && sample->has_calls ? FF_NEED_CALL : code;
}

int ff_sample_make(ff_sample *sample, uint64_t epoch, int64_t index, void *row)
{
    sample->key = (ff_key){sample->seed, epoch, (uint64_t)index};
    sample->row = row;
    sample->err[0] = '\0';
    uint64_t begun = ff_now_ns();
    int code = fetch(sample, index);
    sample->read_ns += ff_now_ns() - begun;
    if (code != 0)
        return code;
    sample->bytes += sample->size;
    code = ff_image_encoded(sample->image, &sample->plan, sample->data, sample->size, &sample->key,
                            sample->has_calls ? sample->pixels : row, sample->err);
    return code == FF_E_NOT_JPEG ? FF_NEED_DECODE : planned(sample, code);
}

int ff_sample_decoded(ff_sample *sample, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride)
{
    return planned(sample, ff_image_pixels(sample->image, &sample->plan, rgb, width, height, stride, &sample->key,
                                           sample->has_calls ? sample->pixels : sample->row, sample->err));
}

int ff_sample_called(ff_sample *sample, const uint8_t *rgb, int64_t stride)
{
    return ff_image_pixels(sample->image, &sample->store, rgb, sample->plan.out_w, sample->plan.out_h, stride,
                           &sample->key, sample->row, sample->err);
}
