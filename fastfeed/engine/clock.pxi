# The wall for the consumer's clock: what passes at each step of the loop, in one call, in constant memory.

# Waits are counted by their length, 16 counters between a power of two and the next: below 32 ns each nanosecond has
# its own, and above it a counter stands for its middle, at most 1/32 away from any wait that it counts.
cdef enum:
    FINE = 4
    COUNTERS = (65 - FINE) << FINE


cdef inline uint64_t counter_of(uint64_t wait_ns) noexcept nogil:
    cdef unsigned shift = 0
    while wait_ns >> shift >= 2 << FINE:
        shift += 1
    return (<uint64_t>shift << FINE) + (wait_ns >> shift)


@cython.final
cdef class Clock:
    """Where the consumer's time went, in nanoseconds: waiting for batches, asking the source, and the user's loop.

    The first batch of an iteration is waited for apart from the others.  What is handed over together was waited for
    once; the further ones took no time.
    """

    cdef public uint64_t pull_ns
    cdef readonly uint64_t asked_ns  # when next() was called last
    cdef readonly uint64_t wait_ns, consumer_ns
    cdef readonly uint64_t first_ns, first_pull_ns  # of these, for first batches
    cdef readonly uint64_t first_batch_ns  # for the latest of them
    cdef readonly uint64_t batches, iterations
    cdef readonly uint64_t looks, ready_slots, ready_batches
    cdef uint64_t ready, pulled_ns  # when the loop asked
    cdef uint64_t[COUNTERS] counters

    def ask(self, uint64_t handed_ns):
        """The loop asks, and was busy since it was handed something (0: it begins); what time it is."""
        cdef uint64_t now = ff_now_ns()
        if handed_ns:
            self.consumer_ns += now - handed_ns
        self.asked_ns, self.ready, self.pulled_ns = now, 0, self.pull_ns
        return now

    def look(self, uint64_t ready):
        """So many slots were ready when the loop asked."""
        self.ready = ready

    def hand(self, uint64_t asked_ns, uint64_t batches, bint first):
        """The loop gets what it has asked for then; what time it is."""
        cdef uint64_t now = ff_now_ns(), wait = now - asked_ns
        self.wait_ns += wait
        self.batches += batches
        if first:
            self.iterations += 1
            self.first_ns += wait
            self.first_pull_ns += self.pull_ns - self.pulled_ns
            self.first_batch_ns = wait
        else:
            self.counters[counter_of(wait)] += 1
            self.looks += 1
            self.ready_slots += self.ready
            self.ready_batches += self.ready != 0
        self.counters[0] += batches - 1
        self.ready_batches += batches - 1
        return now

    def waits(self):
        """How many waits there were, by their length; those for first batches are left out."""
        cdef uint64_t counter, shift
        found = {}
        for counter in range(COUNTERS):
            if self.counters[counter]:
                shift = max(counter >> FINE, 1) - 1
                found[((counter - (shift << FINE)) << shift) + ((1ULL << shift) >> 1)] = self.counters[counter]
        return found
