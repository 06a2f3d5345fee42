cimport cython

from .kernels cimport Cells, monotonic

cdef int ACTIVE_REQUESTS, CANCELLED, DURATION, RECEIVED, REQUESTS, SENT, TIMED_OUT, TIME_TO_FIRST_BYTE
cdef tuple BOUNDS
cdef dict _ROWS
cdef int _OTHER_ROW, _GREATEST_CLASS, _BUCKETS


@cython.final
cdef class Metrics:
    cdef Cells _cells

    cpdef received(self, Py_ssize_t size)
    cpdef sent(self, Py_ssize_t size)
    cpdef timed_out(self, int kind)
    cpdef cancelled(self)
    cpdef began(self)
    cpdef ended(self, str method, int status, double began, double answered)
    @cython.locals(nanoseconds=cython.longlong, bucket=int)
    cdef _observe(self, int first, double seconds)
