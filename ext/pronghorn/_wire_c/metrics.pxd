cimport cython

from .kernels cimport Cells, method_index, monotonic

cdef int ACTIVE_REQUESTS, CANCELLED, DURATION, PROBES, RECEIVED, REQUESTS, SENT, TIMED_OUT, TIME_TO_FIRST_BYTE
cdef int _CLASSES


@cython.final
cdef class Metrics:
    cdef Cells _cells

    cpdef received(self, Py_ssize_t size)
    cpdef sent(self, Py_ssize_t size)
    cpdef timed_out(self, int kind)
    cpdef cancelled(self)
    cpdef began(self)
    cpdef probed(self)
    @cython.locals(now=double, status_class=int)
    cpdef ended(self, str method, int status, double began, double answered)
