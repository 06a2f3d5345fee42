cimport cython

from .kernels cimport receive_now

cdef Py_ssize_t PIECE_SIZE


cdef class Endpoint:
    cpdef bytes read(self, int fd)
    cpdef receive(self, bytes data)
    cpdef leave_inbox(self, bint failed)
    cpdef leave_outbox(self)
    cpdef on_tick(self, long now)
    cpdef crash(self, error)


@cython.locals(endpoint=Endpoint)
cpdef sweep(endpoints, long now)
