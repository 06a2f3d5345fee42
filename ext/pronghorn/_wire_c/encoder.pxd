from .kernels cimport decimal, encode_fields

cdef tuple BYTES


cdef class Encoder:
    cdef public bint has_trailers
    cdef public int status
    cdef public Py_ssize_t body_size

    cpdef begin(self)
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


cpdef list checked_fields(headers)
cpdef Py_ssize_t declared_length(bytes value, Py_ssize_t before) except -1
cpdef tuple own_answer(int status)
