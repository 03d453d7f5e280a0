# cython: language_level=3
"""Memoryviews and numbers to C, codes to exceptions; no policy and no NumPy."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from posix.unistd cimport write

include "_csrc.pxi"

E_CORRUPT = FF_E_CORRUPT
E_LIMIT = FF_E_LIMIT
E_POISON = FF_E_POISON
E_PYTHON = FF_E_PYTHON
ERR_LEN = FF_ERR_LEN


class KernelError(Exception):
    """A sample that the kernel refuses: ``code`` (an FF_E_* number) and ``text``."""

    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code
        self.text = text


def code_text(int code):
    """What an FF_E_* code alone says of a file."""
    return ff_code_text(code).decode()


cdef object error_of(int code, const char *text):
    return KernelError(code, text.decode("utf-8", "replace"))


# One module of parts, each beside its room: the SIMD variant in use is one static pointer, and a worker opens one file.
include "wire/copy.pxi"
include "schedule/random.pxi"
include "engine/ring.pxi"
include "functions/worker.pxi"
include "image/kernel.pxi"
include "table/gather.pxi"
