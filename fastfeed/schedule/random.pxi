# The wall over csrc/random: random numbers by key, and orders by position.


def uniform(uint64_t seed, uint64_t epoch, uint64_t index, uint32_t op, uint32_t draw):
    """The kernel's random number for (seed, epoch, index, op, draw), in [0, 1)."""
    cdef ff_key key = ff_key(seed, epoch, index)
    return ff_uniform(&key, op, draw)


def permute_fill(out, uint64_t n, uint64_t seed, uint64_t epoch, uint64_t start, uint64_t step):
    """Fill out, memory of int64: out[j] = where position start + j * step of the epoch's order goes, below n."""
    cdef View view = View(out, True)
    cdef int64_t *places = <int64_t *>view.at
    cdef size_t j
    for j in range(view.size // sizeof(int64_t)):
        places[j] = <int64_t>ff_permute(n, seed, epoch, start + j * step)
