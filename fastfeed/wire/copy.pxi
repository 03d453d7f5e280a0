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
