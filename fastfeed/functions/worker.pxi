# The wall over csrc/ring for workers that run Python.


cdef class FunctionWorker(Loop):
    """A worker that runs Python, a slot at a time: the slot's payload comes in, and another goes out in its place."""

    cdef uint64_t taken_ns

    def detach(self):
        """Say that this worker has left its loop, and closes what the user's code left open."""
        ff_loop_detach(&self.loop)

    def set_patience(self, uint64_t patience_ns):
        """Look for work this long before going to sleep."""
        self.loop.patience_ns = patience_ns

    def set_timer(self, int timer):
        """Sleep on the consumer's timer, too."""
        self.loop.timer = timer

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
