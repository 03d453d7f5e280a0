/* read: open, examine and read one file, or find the sample's bytes in the table. */
#define _GNU_SOURCE
#include "source/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

void ff_reader_free(ff_reader *reader)
{
    free(reader->buffer);
    *reader = (ff_reader){0};
}

/* Room for size bytes: a little more than is needed, so that a folder of similar files grows the buffer once or twice. */
static int reserve(ff_reader *reader, size_t size, char err[FF_ERR_LEN])
{
    if (size <= reader->capacity)
        return 0;
    size_t capacity = size + size / 4;
    uint8_t *buffer = realloc(reader->buffer, capacity);
    if (buffer == NULL)
        return ff_fail(err, FF_E_MEMORY, "no memory to read the file");
    reader->buffer = buffer;
    reader->capacity = capacity;
    return 0;
}

static int read_open_file(ff_reader *reader, int fd, int64_t max_bytes, int all, char err[FF_ERR_LEN])
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return ff_fail(err, FF_E_OPEN, "cannot be examined: %s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return ff_fail(err, FF_E_NOT_FILE, "%s",
                       S_ISDIR(info.st_mode) ? "is a directory, not a file" : "is not a regular file");
    if (info.st_size > max_bytes)
        return ff_fail(err, FF_E_LIMIT, "%lld bytes are more than max_bytes = %lld; raise it if that is meant",
                       (long long)info.st_size, (long long)max_bytes);
    reader->partial = !all && info.st_size > FF_READ_LARGE;
    size_t want = reader->partial ? FF_READ_BEGINNING : (size_t)info.st_size, have = 0;
    int code = reserve(reader, want, err);
    if (code != 0)
        return code;
    while (have < want) {
        ssize_t got = read(fd, reader->buffer + have, want - have);
        if (got == 0)
            return ff_fail(err, FF_E_OPEN, "the file shrank while it was read");
        if (got < 0 && errno != EINTR)
            return ff_fail(err, FF_E_OPEN, "cannot be read: %s", strerror(errno));
        have += got > 0 ? (size_t)got : 0;
    }
    if (want == 0)
        return ff_fail(err, FF_E_TRUNCATED, "the file is empty");
    reader->data = reader->buffer;
    reader->size = want;
    return 0;
}

static int read_path(ff_reader *reader, const char *path, int64_t max_bytes, int all, char err[FF_ERR_LEN])
{
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return ff_fail(err, FF_E_OPEN, "%s",
                       strstr(path, "://") != NULL ? "URLs are not read: download the file first"
                                                   : "there is no such file: check the path");
    if (fd < 0)
        return ff_fail(err, FF_E_OPEN, "cannot be opened: %s", strerror(errno));
    int code = read_open_file(reader, fd, max_bytes, all, err);
    close(fd);
    return code;
}

static int fetch(ff_reader *reader, const ff_table *table, int64_t index, int64_t max_bytes, int all,
                 char err[FF_ERR_LEN])
{
    reader->partial = 0;
    if (index < 0 || (uint64_t)index >= table->count)
        return ff_fail(err, FF_E_OPEN, "the index is outside the source");
    uint64_t from = table->offsets[index], to = table->offsets[index + 1];
    if (from >= to || to > table->blob_bytes)
        return ff_fail(err, FF_E_TRUNCATED, "no data");
    if (table->kind == FF_TABLE_PATHS)
        return read_path(reader, (const char *)table->blob + from, max_bytes, all, err);
    reader->data = table->blob + from;
    reader->size = to - from;
    return 0;
}

int ff_reader_read(ff_reader *reader, const ff_table *table, int64_t index, int64_t max_bytes, int all,
                   char err[FF_ERR_LEN])
{
    const uint64_t begun = ff_now_ns();
    const int code = fetch(reader, table, index, max_bytes, all, err);
    reader->read_ns += ff_now_ns() - begun;
    if (code == 0)
        reader->bytes += reader->size;
    return code;
}
