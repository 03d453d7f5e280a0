# cython: language_level=3
"""Memoryviews and numbers to C, codes to exceptions; no policy and no NumPy."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.unistd cimport write

cdef extern from "sys/mman.h" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int madvise(void *address, size_t length, int advice)
    int PROT_READ, PROT_WRITE, MAP_SHARED, MADV_DONTDUMP
    void *MAP_FAILED

cdef extern from "base/codes.h" nogil:
    enum: FF_ERR_LEN, FF_E_CORRUPT, FF_E_POISON, FF_E_PYTHON

cdef extern from "base/key.h" nogil:
    ctypedef struct ff_key:
        uint64_t seed, epoch, index

cdef extern from "base/clock.h" nogil:
    uint64_t ff_now_ns()

cdef extern from "base/step.h" nogil:
    enum: FF_STEP_DONE, FF_STEP_DECODE, FF_STEP_CALL, FF_STEP_STOP, FF_STEP_LOST

cdef extern from "random/philox.h" nogil:
    double ff_uniform(const ff_key *key, uint32_t op, uint32_t draw)

cdef extern from "random/permute.h" nogil:
    uint64_t ff_permute(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t position)

cdef extern from "simd/copy.h" nogil:
    void ff_copy(void *to, const void *from_, size_t size, size_t whole)

cdef extern from "simd/cpu.h" nogil:
    const char *ff_simd_name()
    const char *ff_simd_variant(int position)
    int ff_simd_select(const char *name)
    const char *ff_simd_refused()

cdef extern from "source/table.h" nogil:
    enum: FF_TABLE_PATHS, FF_TABLE_BYTES
    ctypedef struct ff_table:
        uint64_t count
    int ff_table_attach(ff_table *table, const void *base, uint64_t total)

cdef extern from "source/read.h" nogil:
    ctypedef struct ff_reader:
        const uint8_t *data
        size_t size
        uint64_t read_ns

cdef extern from "jpeg/header.h" nogil:
    int ff_jpeg_size(const uint8_t *data, size_t size, int64_t *width, int64_t *height)

cdef extern from "jpeg/floor.h" nogil:
    int ff_jpeg_floor(const uint8_t *data, size_t size, uint8_t *rgb, size_t capacity)
    const char *ff_jpeg_version()

cdef extern from "image/plan.h" nogil:
    enum: FF_MAX_OPS, FF_OP_BYTES
    ctypedef struct ff_op:
        int32_t kind, size
        uint8_t parameters[FF_OP_BYTES]
    ctypedef struct ff_plan:
        int32_t n_ops, out_h, out_w, dtype, layout, exact, orient, max_scans
        int64_t max_pixels, max_bytes
        float scale[3]
        float bias[3]
        ff_op ops[FF_MAX_OPS]
    size_t ff_plan_row_bytes(const ff_plan *plan)
    const char *ff_dtype_name(int32_t dtype) noexcept
    const char *ff_layout_name(int32_t layout) noexcept
    const char *ff_filter_name(int32_t filter) noexcept
    const char *ff_fit_name(int32_t fit) noexcept

cdef extern from "image/ops.h" nogil:
    ctypedef struct ff_transform:
        size_t size
    const ff_transform *ff_transform_of(int32_t kind)
    const char *ff_op_name(int32_t kind) noexcept

cdef extern from "image/picture.h" nogil:
    ctypedef struct ff_image:
        pass
    ff_image *ff_image_new()
    void ff_image_free(ff_image *image)

cdef extern from "image/image.h" nogil:
    int ff_image_encoded(ff_image *image, const ff_plan *plan, const uint8_t *data, size_t size, const ff_key *key,
                         void *row, char *err)
    int ff_image_pixels(ff_image *image, const ff_plan *plan, const uint8_t *rgb, int64_t width, int64_t height,
                        int64_t stride, const ff_key *key, void *row, char *err)

cdef extern from "image/sample.h" nogil:
    ctypedef struct ff_sample:
        ff_plan plan
        int has_calls
        ff_reader reader
        uint8_t *pixels
        char err[FF_ERR_LEN]
    int ff_sample_init(ff_sample *sample, const ff_plan *plan, const ff_plan *finish_plan, const ff_table *table,
                       uint64_t seed)
    void ff_sample_free(ff_sample *sample)
    int ff_sample_make(ff_sample *sample, uint64_t epoch, int64_t index, void *row)
    int ff_sample_decoded(ff_sample *sample, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride)
    int ff_sample_called(ff_sample *sample, const uint8_t *rgb, int64_t stride)

cdef extern from "ring/ring.h" nogil:
    enum: FF_MAX_WORKERS, FF_ROW_DONE, FF_WAIT_NOT, FF_WAIT_BATCH, FF_WAIT_CELL
    ctypedef struct ff_ring_shape:
        uint32_t slots, rows, rows_per_cell, workers
        uint64_t row_bytes
    ctypedef struct ff_ring:
        uint32_t slots, cells_per_slot, rows, workers
        uint64_t row_bytes, slot_stride, slots_at
    uint64_t ff_ring_size(const ff_ring_shape *shape)
    ctypedef struct ff_descriptor:
        uint64_t used, allocated
    ff_descriptor *ff_ring_descriptor(const ff_ring *ring, uint32_t slot)
    int ff_ring_init(ff_ring *ring, void *base, const ff_ring_shape *shape)
    int ff_ring_attach(ff_ring *ring, void *base, uint64_t total)
    int64_t *ff_ring_index(const ff_ring *ring, uint32_t slot)
    uint8_t *ff_ring_status(const ff_ring *ring, uint32_t slot)
    uint8_t *ff_ring_row(const ff_ring *ring, uint32_t slot, uint32_t row)
    void ff_ring_open(ff_ring *ring, uint32_t slot, uint32_t sequence, uint64_t epoch, uint32_t rows,
                      uint16_t *generations, unsigned addressee)
    uint32_t ff_ring_sleepers(const ff_ring *ring)
    int ff_ring_check(const ff_ring *ring, uint32_t slot, uint32_t sequence, uint32_t rows,
                      const uint16_t *generations, unsigned *suspect)
    uint32_t ff_ring_take(ff_ring *ring, uint32_t slot, uint32_t rows, uint32_t *failed)
    void ff_ring_release(ff_ring *ring, uint32_t slot)
    uint32_t ff_ring_withdraw(ff_ring *ring, uint32_t slot)
    uint32_t ff_ring_reopen(ff_ring *ring, unsigned owner, uint16_t *generations, const uint8_t *abandoned,
                            const uint16_t *addressees)
    int ff_ring_sleeper(const ff_ring *ring, int worker)
    void ff_ring_rouse(ff_ring *ring, unsigned worker)
    void ff_ring_set_waiting(ff_ring *ring, uint32_t waiting)
    void ff_ring_set_stop(ff_ring *ring)
    bint ff_ring_writes(const ff_ring *ring, unsigned owner, uint32_t slot)
    bint ff_ring_attached(const ff_ring *ring, unsigned worker)
    bint ff_ring_sample_of(const ff_ring *ring, unsigned worker, uint32_t *sequence, uint32_t *row, uint64_t *started_ns)
    void ff_ring_forget(ff_ring *ring, unsigned worker)
    ctypedef struct ff_ring_totals:
        uint64_t samples, bytes, read_ns, work_ns, idle_ns
    ff_ring_totals ff_ring_total(const ff_ring *ring)
    uint64_t ff_ring_kill_hits(const ff_ring *ring)

cdef extern from "ring/loop.h" nogil:
    ctypedef struct ff_claim:
        uint32_t slot
    ctypedef struct ff_loop:
        ff_ring ring
        ff_claim claim
        unsigned number
        int work_fd, ready_fd
        uint64_t patience_ns
    void ff_loop_attach(ff_loop *loop)
    int ff_loop_acquire(ff_loop *loop)
    void ff_loop_note(ff_loop *loop, uint32_t row)
    void ff_loop_count(ff_loop *loop, uint64_t samples, uint64_t work_ns)
    int ff_loop_reply(ff_loop *loop, uint64_t used, int code)

cdef extern from "ring/process.h" nogil:
    int ff_process_settle(int consumer_pidfd, unsigned number, int last_fd)
    void ff_process_keep_heap()

cdef extern from "image/worker.h" nogil:
    ctypedef struct ff_image_worker:
        ff_loop *loop
        ff_sample *sample
        uint32_t row
    int ff_image_worker_run(ff_image_worker *worker)
    int ff_image_worker_finish(ff_image_worker *worker, int code)

cdef extern from "table/gather.h" nogil:
    ctypedef struct ff_column:
        uint8_t *base
        int64_t offset, stride
        uint64_t row_bytes, slot_at
        int fd
        uint64_t end
    ctypedef struct ff_gather:
        uint64_t samples
        ff_column *columns
        uint32_t count
    int ff_gather_rows(const ff_gather *gather, const int64_t *index, uint32_t rows, uint8_t *slot, uint32_t first,
                       uint64_t whole)

cdef extern from "table/worker.h" nogil:
    int ff_gather_run(ff_loop *loop, const ff_gather *gather)

# Replies up to this size are copied out of the slot, which costs less than a lease.
cdef uint64_t SMALL = 65536
# Not out of a slot that has grown beyond this: the lease's end is when it gives memory back.
cdef uint64_t ROOMY = 4194304

TABLE_PATHS = FF_TABLE_PATHS
TABLE_BYTES = FF_TABLE_BYTES
STEP_DONE = FF_STEP_DONE
STEP_DECODE = FF_STEP_DECODE
STEP_CALL = FF_STEP_CALL
STEP_STOP = FF_STEP_STOP
WAIT_NOT = FF_WAIT_NOT
WAIT_BATCH = FF_WAIT_BATCH
WAIT_CELL = FF_WAIT_CELL
E_CORRUPT = FF_E_CORRUPT
E_POISON = FF_E_POISON
E_PYTHON = FF_E_PYTHON
MAX_WORKERS = FF_MAX_WORKERS
MAX_OPS = FF_MAX_OPS


ctypedef const char *name_of(int32_t number) noexcept nogil


cdef dict numbers(name_of *name, int32_t first):
    """The numbers of a table of the kernel, by name."""
    cdef dict found = {}
    cdef int32_t number = first
    while name(number) != NULL:
        found[name(number).decode()] = number
        number += 1
    return found


DTYPES = numbers(ff_dtype_name, 0)
LAYOUTS = numbers(ff_layout_name, 0)
FILTERS = numbers(ff_filter_name, 0)
FITS = numbers(ff_fit_name, 0)
OPS = numbers(ff_op_name, 1)


class KernelError(Exception):
    """A sample that the kernel refuses: ``code`` (an FF_E_* number) and ``text``."""

    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code
        self.text = text


cdef object error_of(int code, const char *text):
    return KernelError(code, text.decode("utf-8", "replace"))


cdef const ff_plan *plan_of(bytes plan) except NULL:
    if len(plan) != sizeof(ff_plan):
        raise ValueError("not a packed plan")
    return <const ff_plan *>PyBytes_AS_STRING(plan)


def pack_plan(ops, int out_h, int out_w, int dtype, int layout, bint exact, bint orient, int max_scans,
              int64_t max_pixels, int64_t max_bytes, scale, bias):
    """The bytes of one ff_plan; ops is a sequence of (kind, parameters as its C struct has them)."""
    cdef ff_plan plan
    cdef const ff_transform *transform
    cdef bytes packed
    cdef int k
    memset(&plan, 0, sizeof(plan))
    if len(ops) > FF_MAX_OPS:
        raise ValueError("too many ops")
    plan.n_ops = len(ops)
    plan.out_h, plan.out_w, plan.dtype, plan.layout = out_h, out_w, dtype, layout
    plan.exact, plan.orient, plan.max_scans = exact, orient, max_scans
    plan.max_pixels, plan.max_bytes = max_pixels, max_bytes
    for k in range(3):
        plan.scale[k], plan.bias[k] = scale[k], bias[k]
    for k, (kind, parameters) in enumerate(ops):
        transform, packed = ff_transform_of(kind), parameters
        if transform == NULL or <size_t>len(packed) != transform.size:
            raise ValueError(f"{len(packed)} bytes are not the parameters of a transform of kind {kind}")
        plan.ops[k].kind, plan.ops[k].size = kind, len(packed)
        memcpy(plan.ops[k].parameters, PyBytes_AS_STRING(packed), len(packed))
    return PyBytes_FromStringAndSize(<char *>&plan, sizeof(plan))


def plan_row_bytes(bytes plan):
    """Bytes of one row of this plan."""
    return ff_plan_row_bytes(plan_of(plan))


def uniform(uint64_t seed, uint64_t epoch, uint64_t index, uint32_t op, uint32_t draw):
    """The kernel's random number for (seed, epoch, index, op, draw), in [0, 1)."""
    cdef ff_key key = ff_key(seed, epoch, index)
    return ff_uniform(&key, op, draw)


def permute_fill(int64_t[::1] out, uint64_t n, uint64_t seed, uint64_t epoch, uint64_t start, uint64_t step):
    """out[j] = where position start + j * step of the epoch's order goes; every position is below n."""
    cdef Py_ssize_t j
    for j in range(out.shape[0]):
        out[j] = <int64_t>ff_permute(n, seed, epoch, start + <uint64_t>j * step)


def simd_name():
    """Name of the SIMD variant in use."""
    return ff_simd_name().decode()


def simd_variants():
    """Names of the SIMD variants that this machine can run, best first."""
    names = []
    while ff_simd_variant(len(names)) != NULL:
        names.append(ff_simd_variant(len(names)).decode())
    return names


def simd_select(str name):
    """Force a SIMD variant; False where this processor or build has none of that name."""
    return ff_simd_select(name.encode()) == 0


def simd_refused():
    """What FASTFEED_SIMD asks for and cannot have, or None."""
    cdef const char *name = ff_simd_refused()
    return None if name == NULL else name.decode("utf-8", "replace")


def address(const uint8_t[::1] memory not None):
    """Where memory of at least one byte begins."""
    return <size_t>&memory[0]


def copy(uint8_t[::1] to not None, const uint8_t[::1] piece not None, size_t whole):
    """Copy a piece of a batch of `whole` bytes to where it belongs; they are of one length."""
    if to.shape[0] != piece.shape[0]:
        raise ValueError("the piece and its place differ in length")
    if piece.shape[0]:
        with nogil:
            ff_copy(&to[0], &piece[0], piece.shape[0], whole)


def libjpeg_version():
    """Version of the libjpeg-turbo that this was built with."""
    return ff_jpeg_version().decode()


def jpeg_size(const uint8_t[::1] data not None):
    """(width, height) from a JPEG's header."""
    cdef int64_t width = 0, height = 0
    cdef int code = ff_jpeg_size(&data[0], data.shape[0], &width, &height) if data.shape[0] else -3
    if code != 0:
        raise KernelError(code, "not a readable JPEG header")
    return width, height


def floor_decode(const uint8_t[::1] data not None, uint8_t[::1] out not None):
    """Decode a JPEG to packed RGB with libjpeg-turbo's defaults: the benchmark's floor."""
    cdef int code
    with nogil:
        code = ff_jpeg_floor(&data[0], data.shape[0], &out[0], out.shape[0])
    if code != 0:
        raise KernelError(code, "decode failed")


cdef class Image:
    """Decoder state and scratch for one thread: bytes or pixels to one row."""

    cdef ff_image *image

    def __cinit__(self):
        self.image = ff_image_new()
        if self.image == NULL:
            raise MemoryError("no memory for the image kernel")

    def __dealloc__(self):
        if self.image != NULL:
            ff_image_free(self.image)

    def encoded(self, bytes plan, const uint8_t[::1] data not None, uint64_t seed, uint64_t epoch, uint64_t index,
                uint8_t[::1] out not None):
        cdef const ff_plan *p = plan_of(plan)
        cdef ff_key key = ff_key(seed, epoch, index)
        cdef char err[FF_ERR_LEN]
        cdef int code
        err[0] = 0
        if <size_t>out.shape[0] < ff_plan_row_bytes(p):
            raise ValueError("out is smaller than a row")
        with nogil:
            code = ff_image_encoded(self.image, p, &data[0] if data.shape[0] else NULL, data.shape[0], &key, &out[0],
                                    err)
        if code != 0:
            raise error_of(code, err)

    def pixels(self, bytes plan, const uint8_t[::1] rgb not None, int64_t width, int64_t height, int64_t stride,
               uint64_t seed, uint64_t epoch, uint64_t index, uint8_t[::1] out not None):
        cdef const ff_plan *p = plan_of(plan)
        cdef ff_key key = ff_key(seed, epoch, index)
        cdef char err[FF_ERR_LEN]
        cdef int code
        err[0] = 0
        if <size_t>out.shape[0] < ff_plan_row_bytes(p) or not fits(rgb.shape[0], width, height, stride):
            raise ValueError("out or rgb is smaller than its size says")
        with nogil:
            code = ff_image_pixels(self.image, p, &rgb[0], width, height, stride, &key, &out[0], err)
        if code != 0:
            raise error_of(code, err)


cdef bint fits(Py_ssize_t have, int64_t width, int64_t height, int64_t stride):
    return width > 0 and height > 0 and stride >= width * 3 and (height - 1) * stride + width * 3 <= have


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


# Not for the collector: neither is ever part of a cycle, and a lease that is cleared before it dies frees no slot.
@cython.no_gc
cdef class Lease:
    """Holds one slot while anything refers to it, and exports its bytes, writable."""

    cdef Ring ring
    cdef uint32_t slot
    cdef Py_ssize_t length

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, ff_ring_row(&self.ring.ring, self.slot, 0), self.length, 0, flags)

    def __dealloc__(self):
        self.ring.leased[self.slot] = 0


@cython.no_gc
cdef class Ring:
    """The consumer's view of a ring; owns its mapping together with the leases."""

    cdef ff_ring ring
    cdef Mapping mapping
    cdef uint16_t *generations
    cdef uint8_t *abandoned
    cdef uint8_t *leased
    cdef uint16_t *addressees
    cdef uint32_t *failed
    cdef readonly uint64_t slots_at, slot_stride
    cdef bint payloads

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
        self.addressees = <uint16_t *>calloc(slots, sizeof(uint16_t))
        self.failed = <uint32_t *>calloc(rows, sizeof(uint32_t))
        if not (self.generations and self.abandoned and self.leased and self.addressees and self.failed):
            raise MemoryError("no memory for the ring's books")

    def __dealloc__(self):
        free(self.generations)
        free(self.abandoned)
        free(self.leased)
        free(self.addressees)
        free(self.failed)

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
        self.abandoned[slot] = 0
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

    def send(self, uint32_t slot, bytes pickled not None):
        """Put a frame without buffers into a slot; False where the slot has to grow first."""
        self.slot_ok(slot)
        cdef ff_descriptor *descriptor = ff_ring_descriptor(&self.ring, slot)
        cdef uint64_t length = len(pickled)
        if length + 16 > min(descriptor.allocated, self.ring.slot_stride):
            return False
        cdef uint64_t *head = <uint64_t *>ff_ring_row(&self.ring, slot, 0)
        head[0], head[1] = 0, length
        memcpy(head + 2, PyBytes_AS_STRING(pickled), length)
        descriptor.used = length + 16
        return True

    def receive(self, uint32_t slot):
        """The pickle of a complete slot whose reply is good, small and without buffers, and free the slot; or None."""
        self.slot_ok(slot)
        cdef const uint64_t *head = <const uint64_t *>ff_ring_row(&self.ring, slot, 0)
        cdef uint64_t used = ff_ring_descriptor(&self.ring, slot).used
        cdef uint64_t length = head[1]
        if used < 16 or used > SMALL or length != used - 16 or head[0] != 0 or self.leased[slot] \
                or ff_ring_descriptor(&self.ring, slot).allocated > ROOMY \
                or ff_ring_status(&self.ring, slot)[0] != FF_ROW_DONE:
            return None
        cdef bytes pickled = PyBytes_FromStringAndSize(<const char *>(head + 2), length)
        ff_ring_release(&self.ring, slot)
        return pickled

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
        if asleep >= 0:
            fd = wake_fds[asleep]
            ff_ring_rouse(&self.ring, asleep)
            while write(fd, &one, sizeof(one)) < 0 and errno == EINTR:
                pass

    def sleepers(self):
        return ff_ring_sleepers(&self.ring)

    def check(self, uint32_t slot, uint32_t sequence, uint32_t rows):
        """1 complete, 0 not yet, -1 - suspect owner where a word is wrong."""
        cdef unsigned suspect = 0
        self.slot_ok(slot)
        cdef int state = ff_ring_check(&self.ring, slot, sequence, rows,
                                       self.generations + slot * self.ring.cells_per_slot, &suspect)
        return state if state >= 0 else -1 - <int>suspect

    def lease(self, uint32_t slot, uint32_t rows):
        """What keeps the memory of a slot from being used again, and exports it."""
        self.slot_ok(slot)
        if self.leased[slot] or rows > self.ring.rows:
            raise ValueError(slot)
        cdef Lease lease = Lease.__new__(Lease)
        lease.ring, lease.slot = self, slot
        # The whole slot, for what follows the rows in use: the columns of a short batch are where they always are.
        lease.length = self.used(slot) if self.payloads else self.ring.rows * self.ring.row_bytes
        self.leased[slot] = 1
        return lease

    def take(self, uint32_t slot, uint32_t rows):
        """Take a complete slot from the workers: the row numbers that failed, or None."""
        self.slot_ok(slot)
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

    def withdraw(self, uint32_t slot):
        """Take back what no worker has claimed; how many cells are still being written."""
        self.slot_ok(slot)
        self.abandoned[slot] = 1
        return ff_ring_withdraw(&self.ring, slot)

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

    def reason(self, uint32_t slot, uint32_t row):
        """The text that a worker left in a failed row."""
        self.slot_ok(slot)
        cdef const uint8_t *text = ff_ring_row(&self.ring, slot, min(row, self.ring.rows - 1))
        cdef uint64_t room = min(<uint64_t>FF_ERR_LEN, self.ring.row_bytes)
        return (<const char *>text)[:room].split(b"\0", 1)[0].decode("utf-8", "replace")

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


cdef class Kernel:
    """What the sample in hand is asked for, and given, by the Python that it needs."""

    cdef ff_sample sample
    cdef Mapping table

    cdef int begin(self, bytes plan, bytes finish_plan, Mapping table, uint64_t seed) except -1:
        cdef ff_table view
        if ff_table_attach(&view, table.base, table.size) != 0:
            raise ValueError("not a source table")
        cdef const ff_plan *after = NULL
        if finish_plan is not None:
            after = plan_of(finish_plan)
        if ff_sample_init(&self.sample, plan_of(plan), after, &view, seed) != 0:
            raise MemoryError("no memory for the image kernel")
        self.table = table
        return 0

    def __dealloc__(self):
        ff_sample_free(&self.sample)

    cdef object after(self, int code):
        """What comes after a step of the sample in hand: an FF_STEP_*."""
        raise NotImplementedError

    def data(self):
        """The encoded bytes of the sample in hand; valid until the next one."""
        return <const uint8_t[:self.sample.reader.size]>self.sample.reader.data

    def pixels(self):
        """A copy of the uint8 HWC pixels for the callables, as a bytearray."""
        return bytearray(<const uint8_t[:self.sample.plan.out_h * self.sample.plan.out_w * 3]>self.sample.pixels)

    def decoded(self, const uint8_t[::1] rgb not None, int64_t width, int64_t height):
        """Give the decoded pixels: STEP_CALL where the callables come next, otherwise STEP_DONE."""
        cdef int code
        if not fits(rgb.shape[0], width, height, width * 3):
            raise ValueError("rgb is smaller than its size says")
        with nogil:
            code = ff_sample_decoded(&self.sample, &rgb[0], width, height, width * 3)
        return self.after(code)

    def called(self, const uint8_t[::1] rgb not None):
        """Give the pixels that the callables returned: STEP_DONE."""
        cdef int code
        cdef int64_t width = self.sample.plan.out_w, height = self.sample.plan.out_h
        if not fits(rgb.shape[0], width, height, width * 3):
            raise ValueError("rgb is smaller than the plan's size")
        with nogil:
            code = ff_sample_called(&self.sample, &rgb[0], width * 3)
        return self.after(code)


cdef class Sample(Kernel):
    """Makes single rows in this process: what a worker does, for num_workers=0."""

    cdef object row

    def __cinit__(self, bytes plan not None, bytes store, Mapping table not None, uint64_t seed):
        self.begin(plan, store, table, seed)

    def make(self, uint64_t epoch, int64_t index, uint8_t[::1] row not None):
        """STEP_DONE, STEP_DECODE or STEP_CALL; raises KernelError where the sample is bad."""
        cdef int code
        if <size_t>row.shape[0] < ff_plan_row_bytes(&self.sample.plan) and not self.sample.has_calls:
            raise ValueError("row is too small")
        self.row = row
        with nogil:
            code = ff_sample_make(&self.sample, epoch, index, &row[0])
        return self.after(code)

    cdef object after(self, int code):
        if code < 0:
            raise error_of(code, self.sample.err)
        return code


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

    def attach(self):
        """Tell the consumer that this worker has reached its loop."""
        ff_loop_attach(&self.loop)


cdef class Worker(Kernel):
    """An image worker's loop over a ring; returns to Python only where a row needs it."""

    cdef ff_image_worker worker
    cdef Loop loop

    def __cinit__(self, Mapping mapping not None, Mapping table not None, bytes plan not None, bytes store,
                  uint64_t seed, unsigned number, int work_fd, int ready_fd):
        memset(&self.worker, 0, sizeof(self.worker))
        self.loop = Loop(mapping, number, work_fd, ready_fd)
        self.begin(plan, store, table, seed)
        self.worker.loop, self.worker.sample = &self.loop.loop, &self.sample

    def attach(self):
        self.loop.attach()

    def run(self):
        """STEP_STOP, STEP_DECODE or STEP_CALL."""
        cdef int step
        with nogil:
            step = ff_image_worker_run(&self.worker)
        return checked(step)

    cdef object after(self, int code):
        return ff_image_worker_finish(&self.worker, code)

    def fail(self, int code, bytes content not None):
        """Give the row in hand up, with an FF_E_* code; the row holds the content, as far as it goes."""
        cdef ff_ring *ring = &self.loop.loop.ring
        cdef uint8_t *row = ff_ring_row(ring, self.loop.loop.claim.slot, self.worker.row)
        cdef uint64_t length = min(<uint64_t>len(content), ring.row_bytes)
        self.sample.err[0] = 0
        cdef object step = self.after(code)
        memcpy(row, PyBytes_AS_STRING(content), length)  # last: the kernel's own text goes there first
        return step


cdef class FunctionWorker(Loop):
    """A worker that runs Python, a slot at a time: the slot's payload comes in, and another goes out in its place."""

    cdef uint64_t taken_ns

    def __cinit__(self, Mapping mapping not None, unsigned number, int work_fd, int ready_fd):
        self.loop.patience_ns = 50000

    def take(self):
        """Claim a slot, asleep while there is none; its number, or -1 to stop."""
        cdef int step
        with nogil:
            step = ff_loop_acquire(&self.loop)
        if checked(step) == FF_STEP_STOP:
            return -1
        self.taken_ns = ff_now_ns()
        ff_loop_note(&self.loop, 0)
        return self.loop.claim.slot

    def note(self, uint32_t item):
        """Say which item of the payload is in hand."""
        ff_loop_note(&self.loop, item)

    def offset(self):
        """Where the slot in hand begins in the ring's descriptor."""
        return self.loop.ring.slots_at + self.loop.claim.slot * self.loop.ring.slot_stride

    def allocated(self):
        return ff_ring_descriptor(&self.loop.ring, self.loop.claim.slot).allocated

    def limit(self):
        """Bytes that a slot can grow to."""
        return self.loop.ring.slot_stride

    def set_allocated(self, uint64_t size):
        ff_ring_descriptor(&self.loop.ring, self.loop.claim.slot).allocated = size

    def payload(self, uint64_t size):
        """The first size bytes of the slot in hand, writable; they must be allocated."""
        if size > self.loop.ring.slot_stride:
            raise ValueError(size)
        return part_of(self.mapping, ff_ring_row(&self.loop.ring, self.loop.claim.slot, 0), size)

    def used(self):
        return min(ff_ring_descriptor(&self.loop.ring, self.loop.claim.slot).used, self.loop.ring.slot_stride)

    def reply(self, uint64_t used, int code, uint64_t items):
        """Publish the slot in hand with a payload of used bytes; code is 0 or an FF_E_* number."""
        ff_loop_count(&self.loop, items, ff_now_ns() - self.taken_ns)
        checked(ff_loop_reply(&self.loop, used, code))


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
        cdef const uint8_t[::1] buffer
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
            buffer = source
            base, size = <uint8_t *>&buffer[0], buffer.shape[0]
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

    def rows(self, const int64_t[::1] index not None, uint8_t[::1] slot not None):
        """Fill a slot with the rows of every column; 0 or an FF_E_* code."""
        cdef int code
        if not self.fits(index.shape[0], slot.shape[0]):
            raise ValueError("the slot is smaller than its rows")
        if index.shape[0] == 0:
            return 0
        with nogil:
            code = ff_gather_rows(&self.gather, &index[0], index.shape[0], &slot[0], 0, slot.shape[0])
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


def settle(int consumer_pidfd, unsigned number, int last_fd):
    """Process-wide settling in of a worker whose descriptors are 3..last_fd."""
    cdef int code = ff_process_settle(consumer_pidfd, number, last_fd)
    if code != 0:
        raise OSError(-code, "cannot start the watching thread")


def keep_heap():
    """Let what the user's code frees in this process be there for its next item."""
    ff_process_keep_heap()
