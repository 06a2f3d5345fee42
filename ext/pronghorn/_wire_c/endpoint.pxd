cimport cython

from .kernels cimport receive_large, receive_now

cdef Py_ssize_t PIECE_SIZE, LARGE_READ


cdef class Endpoint:
    cdef bint _reads_much

    @cython.locals(size=Py_ssize_t, data=bytes)
    cpdef bytes read(self, int fd)
    cpdef Py_ssize_t read_size(self)
    cpdef receive(self, bytes data)
    cpdef leave_inbox(self, bint failed)
    cpdef leave_outbox(self)
    cpdef on_tick(self, long now)
    cpdef crash(self, error)


@cython.locals(endpoint=Endpoint)
cpdef sweep(endpoints, long now)
