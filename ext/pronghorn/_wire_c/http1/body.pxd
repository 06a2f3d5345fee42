cimport cython

from ..kernels cimport cut, find_bare_cr, find_byte, find_head_end, split_fields
from ..pace cimport Pace
from ..shared cimport Limits

cdef int CHUNKED, LENGTH
cdef Py_ssize_t MAX_CHUNK_LINE
cdef int SIZE, CONTENT, CONTENT_END, TRAILERS


cdef class Decoder:
    cdef Limits _limits
    cdef bint _chunked
    cdef int _expected
    cdef Py_ssize_t _searched
    cdef readonly bint done
    cdef readonly Py_ssize_t position, remaining, size
    cdef public Pace pace

    cpdef bytes feed(self, bytes data, Py_ssize_t position)
    cdef bytes _take(self, bytes data, Py_ssize_t position)
    cdef bytes _feed_chunked(self, bytes data, Py_ssize_t position)
    cdef bint _read_line(self, bytes data) except -1
    @cython.locals(resume=Py_ssize_t, size=Py_ssize_t, stop=Py_ssize_t)
    cdef bint _read_trailers(self, bytes data, Py_ssize_t start) except -1
