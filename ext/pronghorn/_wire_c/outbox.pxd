cimport cython

from .endpoint cimport Endpoint
from .kernels cimport monotonic

cdef double MAX_DELAY


cdef class Outbox:
    cdef object _call_soon, _run
    cdef list _members
    cdef bint _scheduled
    cdef double _since, _max_delay

    cpdef add(self, Endpoint member)
    cpdef hold(self)
    cpdef run(self)
    @cython.locals(member=Endpoint)
    cdef _flush(self)
