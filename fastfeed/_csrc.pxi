# What the wall uses of csrc, room by room: declarations and nothing else.

cdef extern from "sys/mman.h" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int madvise(void *address, size_t length, int advice)
    void *mremap(void *address, size_t length, size_t new_length, int flags, ...)
    int PROT_NONE, PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_FIXED
    int MREMAP_MAYMOVE, MREMAP_FIXED, MADV_DONTDUMP
    void *MAP_FAILED

cdef extern from "base/codes.h" nogil:
    enum: FF_ERR_LEN, FF_E_CORRUPT, FF_E_LIMIT, FF_E_POISON, FF_E_PYTHON
    const char *ff_code_text(int code)

cdef extern from "base/key.h" nogil:
    ctypedef struct ff_key:
        uint64_t seed, epoch, index

cdef extern from "base/clock.h" nogil:
    uint64_t ff_now_ns()
    int ff_timer_new()
    void ff_timer_set(int timer, uint64_t after_ns)

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
        int partial
        uint64_t read_ns

cdef extern from "jpeg/header.h" nogil:
    int ff_jpeg_size(const uint8_t *data, size_t size, int64_t *width, int64_t *height)

cdef extern from "jpeg/floor.h" nogil:
    int ff_jpeg_floor(const uint8_t *data, size_t size, uint8_t *rgb, size_t capacity)
    const char *ff_jpeg_version()

cdef extern from "simd/dtype.h" nogil:
    const char *ff_dtype_name(int32_t dtype) noexcept

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
    const char *ff_layout_name(int32_t layout) noexcept
    const char *ff_filter_name(int32_t filter) noexcept
    const char *ff_fit_name(int32_t fit) noexcept

cdef extern from "image/ops.h" nogil:
    ctypedef struct ff_transform:
        size_t size
    const ff_transform *ff_transform_of(int32_t kind)
    const char *ff_op_name(int32_t kind) noexcept

cdef extern from "jpeg/whole.h" nogil:
    ctypedef struct ff_jpeg:
        pass
    int ff_jpeg_whole(ff_jpeg *j, const uint8_t *data, size_t size, uint8_t *rgb, size_t capacity, char *err)

cdef extern from "image/picture.h" nogil:
    ctypedef struct ff_image:
        ff_jpeg *jpeg
    ff_image *ff_image_new()
    void ff_image_free(ff_image *image)
    const char *ff_image_reader(const ff_image *image)

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
        ff_key key
        char err[FF_ERR_LEN]
    int ff_sample_init(ff_sample *sample, const ff_plan *plan, const ff_plan *finish_plan, const ff_table *table,
                       uint64_t seed)
    void ff_sample_free(ff_sample *sample)
    int ff_sample_make(ff_sample *sample, uint64_t epoch, int64_t index, void *row)
    int ff_sample_rest(ff_sample *sample)
    int ff_sample_decoded(ff_sample *sample, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride)
    int ff_sample_called(ff_sample *sample, const uint8_t *rgb, int64_t stride)

cdef extern from "ring/ring.h" nogil:
    enum: FF_MAX_SLOTS, FF_MAX_WORKERS, FF_ROW_DONE, FF_WAIT_NOT, FF_WAIT_BATCH, FF_WAIT_CELL, FF_WAIT_SEVERAL
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
    int ff_ring_owe(ff_ring *ring)
    void ff_ring_pay(ff_ring *ring)
    int ff_ring_init(ff_ring *ring, void *base, const ff_ring_shape *shape)
    int ff_ring_attach(ff_ring *ring, void *base, uint64_t total)
    int64_t *ff_ring_index(const ff_ring *ring, uint32_t slot)
    uint8_t *ff_ring_status(const ff_ring *ring, uint32_t slot)
    uint8_t *ff_ring_row(const ff_ring *ring, uint32_t slot, uint32_t row)
    void ff_ring_open(ff_ring *ring, uint32_t slot, uint32_t sequence, uint64_t epoch, uint32_t rows,
                      uint16_t *generations, unsigned addressee)
    uint32_t ff_ring_sleepers(const ff_ring *ring)
    int ff_ring_ready(const ff_ring *ring, uint32_t slot, uint32_t *seen)
    int ff_ring_check(const ff_ring *ring, uint32_t slot, uint32_t sequence, uint32_t rows,
                      const uint16_t *generations, unsigned *suspect)
    uint32_t ff_ring_take(ff_ring *ring, uint32_t slot, uint32_t rows, uint32_t *failed)
    void ff_ring_release(ff_ring *ring, uint32_t slot)
    int64_t ff_ring_withdraw(ff_ring *ring, uint32_t slot, uint32_t sequence, const uint16_t *generations,
                             unsigned *suspect)
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
        int timer
        uint64_t patience_ns
    void ff_loop_attach(ff_loop *loop)
    void ff_loop_detach(ff_loop *loop)
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
