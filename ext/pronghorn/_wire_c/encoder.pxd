from .kernels cimport decimal, encode_fields

cdef tuple BYTES
cdef int LENGTH, NO_BODY, UNTIL_CLOSE


cdef class Encoder:
    cdef public bint has_trailers
    cdef public int status
    cdef public Py_ssize_t body_size
    cdef int _framing
    cdef bint _has_body
    cdef Py_ssize_t _remaining

    cpdef begin(self, str method)
    cpdef start(self, status, headers, bint has_trailers)
    cpdef Py_ssize_t head(self, list out) except -1
    cpdef Py_ssize_t body(self, bytes data, bint more, list out) except -1
    cpdef Py_ssize_t trailers(self, headers, list out) except -1
    cpdef Py_ssize_t early_hints(self, links, list out) except -1
    cpdef Py_ssize_t left(self)
    cpdef bint file(self, Py_ssize_t size, list out) except -1
    cpdef file_sent(self, Py_ssize_t size)
    cpdef file_end(self, list out)
    cpdef bytes field(self, bytes name)
    cdef _decide_framing(self, Py_ssize_t length, int without_length)
    cdef bint _count_content(self, Py_ssize_t count, bint more) except -1


cpdef list checked_fields(headers)
cpdef bint has_field(headers, bytes lower) except -1
cpdef Py_ssize_t declared_length(bytes value, Py_ssize_t before) except -1
cpdef tuple own_answer(int status)
