# The wall over csrc/simd: copying, and the variant of the inner loops in use.


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


def address(memory):
    """Where memory of at least one byte begins."""
    return <size_t>View(memory, False).at


def copy(to, piece, size_t whole):
    """Copy a piece of a batch of `whole` bytes to where it belongs; they are of one length."""
    cdef View place = View(to, True), content = View(piece, False)
    if place.size != content.size:
        raise ValueError("the piece and its place differ in length")
    with nogil:
        ff_copy(place.at, content.at, content.size, whole)
