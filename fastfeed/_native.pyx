# cython: language_level=3
"""Memoryviews and numbers to C, codes to exceptions; no policy and no NumPy."""

cimport cython
from cpython.buffer cimport (
    PyBUF_READ, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
)
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.ref cimport Py_DECREF, Py_REFCNT, PyObject
from libc.errno cimport EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from posix.unistd cimport _SC_PAGESIZE, sysconf, write

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


@cython.final
@cython.freelist(8)
cdef class View:
    """Contiguous memory of somebody's, theirs to change or free again when this is gone.

    Cython's own views would import collections, which takes longer than all else that a worker does as it starts.
    """

    cdef Py_buffer buffer
    cdef uint8_t *at
    cdef size_t size

    def __cinit__(self, source, bint writable):
        PyObject_GetBuffer(source, &self.buffer, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
        self.at, self.size = <uint8_t *>self.buffer.buf, self.buffer.len

    def __dealloc__(self):
        PyBuffer_Release(&self.buffer)


def code_text(int code):
    """What an FF_E_* code alone says of a file."""
    return ff_code_text(code).decode()


cdef object error_of(int code, const char *text):
    return KernelError(code, text.decode("utf-8", "replace"))


# One module of parts, each beside its room: the SIMD variant in use is one static pointer, and a worker opens one file.
include "wire/copy.pxi"
include "schedule/random.pxi"
include "engine/clock.pxi"
include "engine/ring.pxi"
include "functions/prefetch.pxi"
include "functions/pull.pxi"
include "functions/chunk.pxi"
include "functions/worker.pxi"
include "image/kernel.pxi"
include "table/gather.pxi"
