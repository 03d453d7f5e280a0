/* gather: copies as near to a plain memcpy as random rows allow. */
#define _GNU_SOURCE
#include "table/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codes.h"
#include "simd/copy.h"

/* Rows whose beginning is asked of the caches ahead of the one being copied: a row of a large table misses them all,
 * and many misses in flight hide each other.  Longer rows than this keep the prefetcher of the processor busy. */
#define AHEAD 12
#define AHEAD_BYTES 512

/* A row that takes longer than this and a nanosecond a byte was not in the page cache. */
#define SLOW_NS 5000

/* All rows of one size: with size known at compile time each is a move or two. */
static inline __attribute__((always_inline)) void copy(uint8_t *to, const uint8_t *base, int64_t stride,
                                                       const int64_t *index, uint32_t rows, size_t size)
{
    for (uint32_t r = 0; r < rows; r++, to += size) {
        if (size <= AHEAD_BYTES && r + AHEAD < rows) {
            const uint8_t *next = base + index[r + AHEAD] * stride;
            __builtin_prefetch(next);
            __builtin_prefetch(next + size - 1);
        }
        memcpy(to, base + index[r] * stride, size);
    }
}

static void copy_rows(const ff_column *column, const int64_t *index, uint32_t rows, uint8_t *to, uint64_t whole)
{
    const uint8_t *base = column->base;
    const int64_t stride = column->stride;
    switch (column->row_bytes) {
    case 1: copy(to, base, stride, index, rows, 1); break;
    case 2: copy(to, base, stride, index, rows, 2); break;
    case 4: copy(to, base, stride, index, rows, 4); break;
    case 8: copy(to, base, stride, index, rows, 8); break;
    case 16: copy(to, base, stride, index, rows, 16); break;
    case 32: copy(to, base, stride, index, rows, 32); break;
    case 64: copy(to, base, stride, index, rows, 64); break;
    default:
        if (whole < FF_COPY_LARGE)
            copy(to, base, stride, index, rows, column->row_bytes);
        else
            for (uint32_t r = 0; r < rows; r++, to += column->row_bytes)
                ff_copy(to, base + index[r] * stride, column->row_bytes, whole);
    }
}

static int read_at(int fd, int64_t offset, uint64_t size, uint8_t *to)
{
    while (size > 0) {
        ssize_t got = pread(fd, to, size, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? FF_E_TRUNCATED : FF_E_OPEN;
        to += got;
        offset += got;
        size -= (uint64_t)got;
    }
    return 0;
}

static int read_rows(const ff_column *column, const int64_t *index, uint32_t rows, uint8_t *to)
{
    for (uint32_t r = 0; r < rows; r++, to += column->row_bytes) {
        int code = read_at(column->fd, column->offset + index[r] * column->stride, column->row_bytes, to);
        if (code != 0)
            return code;
    }
    return 0;
}

/* 1 where the rows lie one behind the other in the column as they will in the slot: one piece, then. */
static int together(const ff_column *column, const int64_t *index, uint32_t rows)
{
    if (column->stride != (int64_t)column->row_bytes)
        return 0;
    for (uint32_t r = 1; r < rows; r++)
        if (index[r] != index[r - 1] + 1)
            return 0;
    return 1;
}

static int fetch(const ff_column *column, const int64_t *index, uint32_t rows, uint8_t *to, uint64_t whole)
{
    const int64_t from = index[0] * column->stride;
    const int in_one = together(column, index, rows);
    if (column->base == NULL)
        return in_one ? read_at(column->fd, column->offset + from, rows * column->row_bytes, to)
                      : read_rows(column, index, rows, to);
    if (in_one)
        ff_copy(to, column->base + from, rows * column->row_bytes, whole);
    else
        copy_rows(column, index, rows, to, whole);
    return 0;
}

static int from_file(ff_column *column, const int64_t *index, uint32_t rows, uint8_t *to, uint64_t whole)
{
    /* Reading a mapping beyond its file's end is a SIGBUS.  A file that shrinks between this line and the copy still is
     * one: it costs the worker, and its successor comes to this line. */
    struct stat now;
    if (fstat(column->fd, &now) != 0 || (uint64_t)now.st_size < column->end)
        return FF_E_TRUNCATED;
    const uint64_t begun = ff_now_ns();
    if (column->slow && rows > 1)
        for (uint32_t r = 0; r < rows; r++)
            posix_fadvise(column->fd, column->offset + index[r] * column->stride, (off_t)column->row_bytes,
                          POSIX_FADV_WILLNEED);
    const int code = fetch(column, index, rows, to, whole);
    column->slow = ff_now_ns() - begun > rows * (SLOW_NS + column->row_bytes);
    return code;
}

int ff_gather_rows(const ff_gather *gather, const int64_t *index, uint32_t rows, uint8_t *slot, uint32_t first,
                   uint64_t whole)
{
    /* The indices are the consumer's, but a damaged ring must not make this process read elsewhere. */
    for (uint32_t r = 0; r < rows; r++)
        if ((uint64_t)index[r] >= gather->samples)
            return FF_E_LIMIT;
    for (uint32_t k = 0; k < gather->count && rows > 0; k++) {
        ff_column *column = &gather->columns[k];
        uint8_t *to = slot + column->slot_at + first * column->row_bytes;
        int code = column->fd < 0 ? fetch(column, index, rows, to, whole) : from_file(column, index, rows, to, whole);
        if (code != 0)
            return code;
    }
    return 0;
}
