cimport cython

cdef int WINDOW_BITS, MEMORY_LEVEL, MOST_STREAMS


cdef class Deflate:
    cdef object _zlib
    cdef int _server_bits, _client_bits
    cdef bint _server_resets, _client_resets
    cdef object _deflater, _inflater
    cdef int _streams
    cdef readonly bytes response, rest

    cpdef bytes deflate(self, bytes payload)
    @cython.locals(size=Py_ssize_t)
    cpdef bytes inflate(self, bytes data, Py_ssize_t most)
    cpdef end_inflating(self)
