# The wall over csrc/source, csrc/jpeg and csrc/image: plans, images, samples, the image worker.

TABLE_PATHS = FF_TABLE_PATHS
TABLE_BYTES = FF_TABLE_BYTES
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


def libjpeg_version():
    """Version of the libjpeg-turbo that this was built with."""
    return ff_jpeg_version().decode()


def jpeg_size(data):
    """(width, height) from a JPEG's header."""
    cdef int64_t width = 0, height = 0
    cdef View view = View(data, False)
    cdef int code = ff_jpeg_size(view.at, view.size, &width, &height)
    if code != 0:
        raise KernelError(code, "not a readable JPEG header")
    return width, height


def floor_decode(data, out):
    """Decode a JPEG to packed RGB with libjpeg-turbo's defaults: the benchmark's floor."""
    cdef View view = View(data, False), pixels = View(out, True)
    cdef int code
    with nogil:
        code = ff_jpeg_floor(view.at, view.size, pixels.at, pixels.size)
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

    @property
    def reader(self):
        """Who decoded the last JPEG: "baseline" is our own, "libjpeg-turbo" has the rest."""
        return ff_image_reader(self.image).decode()

    def decode(self, data, out):
        """Decode a JPEG to packed RGB, as floor_decode does it with libjpeg-turbo alone."""
        cdef View view = View(data, False), pixels = View(out, True)
        cdef char err[FF_ERR_LEN]
        cdef int code
        err[0] = 0
        with nogil:
            code = ff_jpeg_whole(self.image.jpeg, view.at, view.size, pixels.at, pixels.size, err)
        if code != 0:
            raise error_of(code, err)

    def encoded(self, bytes plan, data, uint64_t seed, uint64_t epoch, uint64_t index, out):
        cdef View view = View(data, False), row = View(out, True)
        cdef const ff_plan *p = plan_of(plan)
        cdef ff_key key = ff_key(seed, epoch, index)
        cdef char err[FF_ERR_LEN]
        cdef int code
        err[0] = 0
        if row.size < ff_plan_row_bytes(p):
            raise ValueError("out is smaller than a row")
        with nogil:
            code = ff_image_encoded(self.image, p, view.at, view.size, &key, row.at, err)
        if code != 0:
            raise error_of(code, err)

    def pixels(self, bytes plan, rgb, int64_t width, int64_t height, int64_t stride, uint64_t seed, uint64_t epoch,
               uint64_t index, out):
        cdef View view = View(rgb, False), row = View(out, True)
        cdef const ff_plan *p = plan_of(plan)
        cdef ff_key key = ff_key(seed, epoch, index)
        cdef char err[FF_ERR_LEN]
        cdef int code
        err[0] = 0
        if row.size < ff_plan_row_bytes(p) or not fits(view.size, width, height, stride):
            raise ValueError("out or rgb is smaller than its size says")
        with nogil:
            code = ff_image_pixels(self.image, p, view.at, width, height, stride, &key, row.at, err)
        if code != 0:
            raise error_of(code, err)


cdef bint fits(int64_t have, int64_t width, int64_t height, int64_t stride):
    return width > 0 and height > 0 and stride >= width * 3 and (height - 1) * stride + width * 3 <= have


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
        return PyMemoryView_FromMemory(<char *>self.sample.reader.data, self.sample.reader.size, PyBUF_READ)

    def key(self):
        """What random draws for the sample in hand depend on: (seed, epoch, index)."""
        return self.sample.key.seed, self.sample.key.epoch, self.sample.key.index

    def is_partial(self):
        """Whether data is only the beginning of a large file."""
        return self.sample.reader.partial != 0

    def read_rest(self):
        """Read all of a large file; data is whole then."""
        cdef int code
        with nogil:
            code = ff_sample_rest(&self.sample)
        if code != 0:
            raise error_of(code, self.sample.err)

    def pixels(self):
        """A copy of the uint8 HWC pixels for the callables, as a bytearray."""
        cdef Py_ssize_t size = <Py_ssize_t>self.sample.plan.out_h * self.sample.plan.out_w * 3
        return PyByteArray_FromStringAndSize(<char *>self.sample.pixels, size)

    def decoded(self, rgb, int64_t width, int64_t height):
        """Give the decoded pixels: STEP_CALL where the callables come next, otherwise STEP_DONE."""
        cdef int code
        cdef View view = View(rgb, False)
        if not fits(view.size, width, height, width * 3):
            raise ValueError("rgb is smaller than its size says")
        with nogil:
            code = ff_sample_decoded(&self.sample, view.at, width, height, width * 3)
        return self.after(code)

    def called(self, rgb):
        """Give the pixels that the callables returned: STEP_DONE."""
        cdef int code
        cdef int64_t width = self.sample.plan.out_w, height = self.sample.plan.out_h
        cdef View view = View(rgb, False)
        if not fits(view.size, width, height, width * 3):
            raise ValueError("rgb is smaller than the plan's size")
        with nogil:
            code = ff_sample_called(&self.sample, view.at, width * 3)
        return self.after(code)


cdef class Sample(Kernel):
    """Makes single rows in this process: what a worker does, for num_workers=0."""

    cdef View row

    def __cinit__(self, bytes plan not None, bytes store, Mapping table not None, uint64_t seed):
        self.begin(plan, store, table, seed)

    def make(self, uint64_t epoch, int64_t index, row):
        """STEP_DONE, STEP_DECODE or STEP_CALL; raises KernelError where the sample is bad."""
        cdef int code
        cdef View place = View(row, True)
        if place.size < ff_plan_row_bytes(&self.sample.plan) and not self.sample.has_calls:
            raise ValueError("row is too small")
        self.row = place
        with nogil:
            code = ff_sample_make(&self.sample, epoch, index, place.at)
        return self.after(code)

    cdef object after(self, int code):
        if code < 0:
            raise error_of(code, self.sample.err)
        return code


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
