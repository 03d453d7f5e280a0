# The wall over csrc/table: columns of rows, and the worker that picks them.


cdef class Gather:
    """Columns of rows, to be picked by index."""

    cdef ff_gather gather
    cdef ff_column *columns
    cdef uint32_t room
    cdef list kept

    def __cinit__(self, uint64_t samples, uint32_t columns):
        self.kept = []
        self.room = columns
        self.columns = <ff_column *>calloc(max(columns, 1), sizeof(ff_column))
        if self.columns == NULL:
            raise MemoryError("no memory for the columns")
        self.gather.samples, self.gather.columns = samples, self.columns

    def __dealloc__(self):
        free(self.columns)

    def add(self, source, int fd, offset, stride, row_bytes, uint64_t slot_at):
        """Add a column whose first row is at an offset of source: a Mapping, a buffer, or None to read it from fd.

        A Mapping with an fd is that of a file, whose size is looked at before it is read.
        """
        cdef uint8_t *base = NULL
        cdef ff_column *column
        if self.gather.count == self.room:
            raise IndexError(self.room)
        last = (self.gather.samples - 1) * stride
        low, high = offset + min(0, last), offset + max(0, last) + row_bytes
        size = 1 << 62
        if isinstance(source, Mapping):
            base, size = <uint8_t *>(<Mapping>source).base, (<Mapping>source).size
        elif source is not None:
            source = View(source, False)
            base, size = (<View>source).at, (<View>source).size
        if low < 0 or high > size or row_bytes <= 0:
            raise ValueError("rows outside the column")
        column = &self.columns[self.gather.count]
        column.base = NULL if base == NULL else base + <int64_t>offset
        column.offset, column.stride, column.row_bytes = offset, stride, row_bytes
        column.slot_at, column.fd, column.end = slot_at, fd, high
        self.kept.append(source)
        self.gather.count += 1

    cdef bint fits(self, uint64_t rows, uint64_t size):
        cdef uint32_t k
        for k in range(self.gather.count):
            if self.columns[k].slot_at + rows * self.columns[k].row_bytes > size:
                return False
        return True

    def rows(self, index, slot):
        """Fill a slot with the rows of every column that index, memory of int64, names; 0 or an FF_E_* code."""
        cdef int code
        cdef View which = View(index, False), place = View(slot, True)
        cdef size_t count = which.size // sizeof(int64_t)
        if not self.fits(count, place.size):
            raise ValueError("the slot is smaller than its rows")
        if count == 0:
            return 0
        with nogil:
            code = ff_gather_rows(&self.gather, <int64_t *>which.at, count, place.at, 0, place.size)
        return code


cdef class GatherWorker:
    """A worker that picks rows."""

    cdef Loop loop
    cdef Gather gather

    def __cinit__(self, Mapping mapping not None, Gather gather not None, unsigned number, int work_fd, int ready_fd):
        self.loop = Loop(mapping, number, work_fd, ready_fd)
        if not gather.fits(self.loop.loop.ring.rows, self.loop.loop.ring.slot_stride):
            raise ValueError("the slots are smaller than their rows")
        self.gather = gather

    def run(self):
        """Fill cells until the feed stops."""
        cdef int step
        self.loop.attach()
        with nogil:
            step = ff_gather_run(&self.loop.loop, &self.gather.gather)
        checked(step)
