# The wall over csrc/ring: the mapping, the consumer's side of the ring, and what every worker does with it.

STEP_DONE = FF_STEP_DONE
STEP_DECODE = FF_STEP_DECODE
STEP_CALL = FF_STEP_CALL
STEP_STOP = FF_STEP_STOP
WAIT_NOT = FF_WAIT_NOT
WAIT_BATCH = FF_WAIT_BATCH
WAIT_CELL = FF_WAIT_CELL
WAIT_SEVERAL = FF_WAIT_SEVERAL
MAX_SLOTS = FF_MAX_SLOTS
MAX_WORKERS = FF_MAX_WORKERS


cdef class Mapping:
    """A shared mapping of a whole file descriptor; unmapped when the last reference dies."""

    cdef void *base
    cdef readonly uint64_t size

    def __cinit__(self, int fd, uint64_t size, bint writable):
        self.base = NULL
        if size == 0:
            raise ValueError("nothing to map")
        cdef void *base = mmap(NULL, size, PROT_READ | (PROT_WRITE if writable else 0), MAP_SHARED, fd, 0)
        if base == MAP_FAILED:
            raise MemoryError(f"cannot map {size} bytes: raise the address-space limit (ulimit -v)")
        self.base = base
        self.size = size
        madvise(base, size, MADV_DONTDUMP)

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.size)

    def memory(self):
        """All of it."""
        return part_of(self, self.base, self.size)

    def advise(self, uint64_t start, uint64_t length, int advice):
        """madvise on part of the mapping; False where the kernel refuses."""
        if start > self.size or length > self.size - start:
            raise ValueError("outside the mapping")
        cdef int result
        with nogil:
            result = madvise(<uint8_t *>self.base + start, length, advice)
        return result == 0


cdef class Part:
    """Exports part of a mapping, writable, and keeps it mapped."""

    cdef Mapping mapping
    cdef void *at
    cdef Py_ssize_t length

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.at, self.length, 0, flags)


cdef part_of(Mapping mapping, void *at, uint64_t length):
    cdef Part part = Part.__new__(Part)
    part.mapping, part.at, part.length = mapping, at, length
    return memoryview(part)


# What leases[] says of a slot: its memory has been made ready for delivery, or has been delivered.
cdef enum:
    LEASED = 1
    TAKEN = 2


# Not for the collector: neither is ever part of a cycle, and a lease that is cleared before it dies frees no slot.
@cython.no_gc
cdef class Lease:
    """Holds one slot while anything refers to it, and exports its bytes, writable."""

    cdef Ring ring
    cdef uint32_t slot
    cdef Py_ssize_t length

    def __cinit__(self, Ring ring not None, uint32_t slot, uint64_t length):
        ring.slot_ok(slot)
        if ring.leased[slot] or length > ring.ring.slot_stride:
            raise ValueError(slot)
        self.ring, self.slot, self.length = ring, slot, length
        ring.lengths[slot] = length
        ring.leased[slot] = LEASED

    def __reduce__(self):
        raise TypeError("a lease cannot be copied or pickled: it holds a slot of shared memory")

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, ff_ring_row(&self.ring.ring, self.slot, 0), self.length, 0, flags)

    def __dealloc__(self):
        if self.ring is not None:
            self.ring.leased[self.slot] = 0


@cython.no_gc
cdef class Ring:
    """The consumer's view of a ring; owns its mapping together with the leases."""

    cdef ff_ring ring
    cdef Mapping mapping
    cdef uint16_t *generations
    cdef uint8_t *abandoned
    cdef uint8_t *leased
    cdef uint64_t *lengths
    cdef uint16_t *addressees
    cdef uint32_t *failed
    cdef uint32_t *seen
    cdef readonly uint64_t slots_at, slot_stride
    cdef bint payloads
    cdef object __weakref__

    def __cinit__(self, Mapping mapping not None, uint32_t slots, uint32_t rows, uint32_t rows_per_cell,
                  uint32_t workers, uint64_t row_bytes, bint payloads=False):
        cdef ff_ring_shape shape = ff_ring_shape(slots, rows, rows_per_cell, workers, row_bytes)
        self.payloads = payloads
        if ff_ring_size(&shape) == 0 or ff_ring_size(&shape) > mapping.size:
            raise ValueError("the mapping is smaller than the ring")
        if ff_ring_init(&self.ring, mapping.base, &shape) != 0:
            raise ValueError("not the shape of a ring")
        self.mapping = mapping
        self.slots_at, self.slot_stride = self.ring.slots_at, self.ring.slot_stride
        self.generations = <uint16_t *>calloc(slots * self.ring.cells_per_slot, sizeof(uint16_t))
        self.abandoned = <uint8_t *>calloc(slots, 1)
        self.leased = <uint8_t *>calloc(slots, 1)
        self.lengths = <uint64_t *>calloc(slots, sizeof(uint64_t))
        self.addressees = <uint16_t *>calloc(slots, sizeof(uint16_t))
        self.failed = <uint32_t *>calloc(rows, sizeof(uint32_t))
        self.seen = <uint32_t *>calloc(slots, sizeof(uint32_t))
        if not (self.generations and self.abandoned and self.leased and self.lengths and self.addressees
                and self.failed and self.seen):
            raise MemoryError("no memory for the ring's books")

    def __dealloc__(self):
        free(self.generations)
        free(self.abandoned)
        free(self.leased)
        free(self.lengths)
        free(self.addressees)
        free(self.failed)
        free(self.seen)

    @staticmethod
    def size(uint32_t slots, uint32_t rows, uint32_t rows_per_cell, uint32_t workers, uint64_t row_bytes):
        """Bytes of the whole mapping, 0 where the numbers make no ring."""
        cdef ff_ring_shape shape = ff_ring_shape(slots, rows, rows_per_cell, workers, row_bytes)
        return ff_ring_size(&shape)

    cdef int slot_ok(self, uint32_t slot) except -1:
        if slot >= self.ring.slots:
            raise IndexError(slot)
        return 0

    def index(self, uint32_t slot):
        """The slot's index column: a writable int64 memoryview of all its rows."""
        self.slot_ok(slot)
        return part_of(self.mapping, ff_ring_index(&self.ring, slot), self.ring.rows * sizeof(int64_t)).cast("q")

    def indices(self, uint32_t slot, uint32_t rows):
        """A copy of the first rows entries of the index column, as the bytes of int64 numbers."""
        self.slot_ok(slot)
        if rows > self.ring.rows:
            raise ValueError(rows)
        return PyByteArray_FromStringAndSize(<const char *>ff_ring_index(&self.ring, slot), rows * sizeof(int64_t))

    def open(self, uint32_t slot, uint32_t sequence, uint64_t epoch, uint32_t rows, int worker):
        """Open a slot's rows to all workers, or to one (-1: to all)."""
        self.slot_ok(slot)
        if rows == 0 or rows > self.ring.rows or worker >= <int64_t>self.ring.workers:
            raise ValueError(rows)
        self.abandoned[slot] = self.seen[slot] = 0
        self.addressees[slot] = worker + 1
        ff_ring_open(&self.ring, slot, sequence, epoch, rows, self.generations + slot * self.ring.cells_per_slot,
                     worker + 1)

    def allocated(self, uint32_t slot):
        """Bytes of a growing slot that exist."""
        self.slot_ok(slot)
        return min(ff_ring_descriptor(&self.ring, slot).allocated, self.ring.slot_stride)

    def set_allocated(self, uint32_t slot, uint64_t size):
        self.slot_ok(slot)
        ff_ring_descriptor(&self.ring, slot).allocated = size

    def payload(self, uint32_t slot, uint64_t size):
        """The first size bytes of a slot, writable; they must be allocated."""
        self.slot_ok(slot)
        if size > self.ring.slot_stride:
            raise ValueError(size)
        return part_of(self.mapping, ff_ring_row(&self.ring, slot, 0), size)

    def put(self, uint32_t slot, bytes content not None):
        """Put a payload into a slot; False where the slot has to grow first."""
        self.slot_ok(slot)
        cdef ff_descriptor *descriptor = ff_ring_descriptor(&self.ring, slot)
        cdef uint64_t size = len(content)
        if size > min(descriptor.allocated, self.ring.slot_stride):
            return False
        memcpy(ff_ring_row(&self.ring, slot, 0), PyBytes_AS_STRING(content), size)
        descriptor.used = size
        return True

    def copied_out(self, uint32_t slot, bytes start not None, uint64_t most, uint64_t most_allocated):
        """What follows `start` in the payload of a complete slot, as bytes, and free the slot; None, and the slot is as
        it was, unless the payload begins so, has at most `most` bytes, in a slot of at most `most_allocated`, and is
        good.
        """
        self.slot_ok(slot)
        cdef const uint8_t *payload = ff_ring_row(&self.ring, slot, 0)
        cdef uint64_t size = ff_ring_descriptor(&self.ring, slot).used
        if size < <uint64_t>len(start) or size > most or self.leased[slot] \
                or ff_ring_descriptor(&self.ring, slot).allocated > most_allocated \
                or ff_ring_status(&self.ring, slot)[0] != FF_ROW_DONE \
                or memcmp(payload, PyBytes_AS_STRING(start), len(start)) != 0:
            return None
        cdef bytes content = PyBytes_FromStringAndSize(<const char *>payload + len(start), size - len(start))
        ff_ring_release(&self.ring, slot)
        return content

    def set_used(self, uint32_t slot, uint64_t size):
        self.slot_ok(slot)
        ff_ring_descriptor(&self.ring, slot).used = size

    def used(self, uint32_t slot):
        """Bytes of the payload that a slot carries."""
        self.slot_ok(slot)
        return min(ff_ring_descriptor(&self.ring, slot).used, self.ring.slot_stride)

    def rouse(self, int worker, list wake_fds not None):
        """Post a token to a worker that is asleep (-1: to any), by its eventfd, and take its flag down.

        Both in one call: with an interrupt in between nobody would post to it again.
        """
        cdef int asleep = ff_ring_sleeper(&self.ring, worker), fd
        cdef uint64_t one = 1
        if asleep >= len(wake_fds):
            raise IndexError(asleep)
        if asleep >= 0:
            fd = wake_fds[asleep]
            ff_ring_rouse(&self.ring, asleep)
            while write(fd, &one, sizeof(one)) < 0 and errno == EINTR:
                pass

    def owe(self, int timer, uint64_t after_ns):
        """Leave it to the timer to wake somebody, unless it is set already."""
        if ff_ring_owe(&self.ring):
            ff_timer_set(timer, after_ns)

    def pay(self):
        """Whoever was to be woken is: the next debt sets the timer anew."""
        ff_ring_pay(&self.ring)

    def sleepers(self):
        return ff_ring_sleepers(&self.ring)

    def check(self, uint32_t slot, uint32_t sequence, uint32_t rows):
        """1 complete, 0 not yet, -1 - suspect owner where a word is wrong."""
        cdef unsigned suspect = 0
        self.slot_ok(slot)
        cdef int state = ff_ring_check(&self.ring, slot, sequence, rows,
                                       self.generations + slot * self.ring.cells_per_slot, &suspect)
        return state if state >= 0 else -1 - <int>suspect

    def ready(self, int due):
        """How many slots are complete and not taken; 0 where the one that is due is not (-1: any may be due)."""
        cdef uint32_t slot, count = 0
        if due >= 0:
            self.slot_ok(due)
            if not ff_ring_ready(&self.ring, due, &self.seen[due]):
                return 0
        for slot in range(self.ring.slots):
            count += not self.abandoned[slot] and ff_ring_ready(&self.ring, slot, &self.seen[slot])
        return count

    def lease(self, uint32_t slot, uint32_t rows):
        """What keeps the memory of a slot from being used again, and exports it."""
        # The whole slot, for what follows the rows in use: the columns of a short batch are where they always are.
        return Lease(self, slot, self.used(slot) if self.payloads else self.ring.rows * self.ring.row_bytes)

    def take(self, uint32_t slot, uint32_t rows):
        """Take a complete slot from the workers: the row numbers that failed, or None."""
        self.slot_ok(slot)
        if self.leased[slot]:
            self.leased[slot] = TAKEN
        self.seen[slot] = 0
        cdef uint32_t count = ff_ring_take(&self.ring, slot, min(rows, self.ring.rows), self.failed)
        return [self.failed[k] for k in range(count)] if count else None

    def is_leased(self, uint32_t slot):
        self.slot_ok(slot)
        return self.leased[slot] != 0

    def release(self, uint32_t slot, bint poison):
        """Back to FREE; with poison the rows are overwritten, so that a stale view shows."""
        self.slot_ok(slot)
        if poison:
            memset(ff_ring_row(&self.ring, slot, 0), 0xDB, self.ring.rows * self.ring.row_bytes)
        ff_ring_release(&self.ring, slot)

    def withdraw(self, uint32_t slot, uint32_t sequence):
        """Take back what no worker has claimed; how many cells are still being written, or as `check`."""
        cdef unsigned suspect = 0
        self.slot_ok(slot)
        self.abandoned[slot] = 1
        cdef int64_t writing = ff_ring_withdraw(&self.ring, slot, sequence,
                                                self.generations + slot * self.ring.cells_per_slot, &suspect)
        return writing if writing >= 0 else -1 - <int>suspect

    def writes(self, unsigned worker, uint32_t slot):
        """Whether a cell of the slot is in this worker's hands."""
        self.slot_ok(slot)
        return ff_ring_writes(&self.ring, worker + 1, slot)

    def reopen(self, unsigned worker):
        """After the worker is reaped: its cells go to the others; how many there were."""
        return ff_ring_reopen(&self.ring, worker + 1, self.generations, self.abandoned, self.addressees)

    def code(self, uint32_t slot, uint32_t row):
        """The FF_E_* code that a row has failed with, or 0."""
        self.slot_ok(slot)
        return min(0, 128 - <int>ff_ring_status(&self.ring, slot)[min(row, self.ring.rows - 1)])

    def set_status(self, uint32_t slot, uint32_t row, int code):
        """Mark a row as failed with an FF_E_* code."""
        self.slot_ok(slot)
        ff_ring_status(&self.ring, slot)[min(row, self.ring.rows - 1)] = <uint8_t>(128 - code)

    cdef int worker_ok(self, unsigned worker) except -1:
        if worker >= self.ring.workers:
            raise IndexError(worker)
        return 0

    def forget(self, unsigned worker):
        """Reset the table entry of a worker that is no more."""
        self.worker_ok(worker)
        ff_ring_forget(&self.ring, worker)

    def sample_of(self, unsigned worker):
        """(sequence, row, started_ns) of what a worker has in hand, or None."""
        cdef uint32_t sequence, row
        cdef uint64_t started_ns
        self.worker_ok(worker)
        if not ff_ring_sample_of(&self.ring, worker, &sequence, &row, &started_ns):
            return None
        return sequence, row, started_ns

    def is_attached(self, unsigned worker):
        self.worker_ok(worker)
        return ff_ring_attached(&self.ring, worker)

    def totals(self):
        """(samples, bytes, read_ns, work_ns, idle_ns) over all workers."""
        cdef ff_ring_totals all = ff_ring_total(&self.ring)
        return all.samples, all.bytes, all.read_ns, all.work_ns, all.idle_ns

    def set_waiting(self, uint32_t waiting):
        ff_ring_set_waiting(&self.ring, waiting)

    def set_stop(self):
        ff_ring_set_stop(&self.ring)

    def kill_hits(self):
        """Passes of the kill point named by FF_KILL_AT; 0 in a normal build."""
        return ff_ring_kill_hits(&self.ring)


    cdef uint16_t generation(self, uint32_t slot):
        return self.generations[slot * self.ring.cells_per_slot]

    cdef Private copied(self, uint32_t slot):
        cdef Private private = Private(self.lengths[slot])
        memcpy(private.base, ff_ring_row(&self.ring, slot, 0), self.lengths[slot])
        return private

    def held(self):
        """Private copies of what the user holds: by slot, the slot's generation and the copy."""
        copies = {}
        for slot in range(self.ring.slots):
            if self.leased[slot] == TAKEN:
                copies[slot] = self.generation(slot), self.copied(slot)
        return copies

    def part(self, dict copies):
        """In a forked child: put private memory in the place of what was shared with the parent."""
        cdef uint8_t *base = <uint8_t *>self.mapping.base
        cdef uint32_t slot
        cdef Private head = Private(self.slots_at)
        memcpy(head.base, base, self.slots_at)
        kept = {}
        for slot in range(self.ring.slots):
            if self.leased[slot] == TAKEN:
                generation, private = copies.get(slot, (None, None))
                # One that another thread of the parent got since the copies were made is copied as it is now.
                kept[slot] = private if generation == self.generation(slot) else self.copied(slot)
        # What nobody holds is not there any more; its addresses stay, or something else would come to lie there.
        if mmap(base + self.slots_at, self.mapping.size - self.slots_at, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED:
            raise MemoryError("cannot part from the parent's ring")
        head.move(base)
        for slot in kept:
            (<Private>kept[slot]).move(ff_ring_row(&self.ring, slot, 0))


cdef class Private:
    """Whole pages of private memory, given back with the last reference unless they were moved elsewhere."""

    cdef void *base
    cdef size_t size

    def __cinit__(self, size_t size):
        cdef size_t page = sysconf(_SC_PAGESIZE)
        self.base = NULL
        self.size = max(1, (size + page - 1) // page) * page
        cdef void *base = mmap(NULL, self.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if base == MAP_FAILED:
            raise MemoryError(f"no memory for a copy of {size} bytes")
        self.base = base

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.size)

    cdef int move(self, void *to) except -1:
        """Put it in the place of other memory."""
        if mremap(self.base, self.size, self.size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED:
            raise MemoryError("cannot move memory")
        self.base = NULL
        return 0


cdef object checked(int step):
    if step == FF_STEP_LOST:
        raise RuntimeError("the ring was damaged under this worker")
    return step


cdef class Loop:
    """What every worker does with its ring."""

    cdef ff_loop loop
    cdef Mapping mapping

    def __cinit__(self, Mapping mapping not None, unsigned number, int work_fd, int ready_fd):
        memset(&self.loop, 0, sizeof(self.loop))
        if ff_ring_attach(&self.loop.ring, mapping.base, mapping.size) != 0 or number >= self.loop.ring.workers:
            raise ValueError("not a ring that this build of fastfeed laid out")
        self.mapping = mapping
        self.loop.number, self.loop.work_fd, self.loop.ready_fd = number, work_fd, ready_fd
        self.loop.timer = -1

    def attach(self):
        """Tell the consumer that this worker has reached its loop."""
        ff_loop_attach(&self.loop)


def new_timer():
    """A descriptor that becomes readable when its time has come; closed on exec."""
    cdef int timer = ff_timer_new()
    if timer < 0:
        raise OSError(-timer, "cannot make a timer")
    return timer


def settle(int consumer_pidfd, unsigned number, int last_fd):
    """Process-wide settling in of a worker whose descriptors are 3..last_fd."""
    cdef int code = ff_process_settle(consumer_pidfd, number, last_fd)
    if code != 0:
        raise OSError(-code, "cannot start the watching thread")


def keep_heap():
    """Let what the user's code frees in this process be there for its next item."""
    ff_process_keep_heap()
