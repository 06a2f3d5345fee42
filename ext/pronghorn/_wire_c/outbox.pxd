cimport cython

from .scan cimport monotonic

cdef double MAX_DELAY


cdef class Flushable:
    cpdef leave_outbox(self)
    cpdef crash(self, error)


cdef class Outbox:
    cdef object _call_soon, _run
    cdef list _members
    cdef bint _scheduled
    cdef double _since

    cpdef add(self, Flushable member)
    @cython.locals(member=Flushable)
    cdef _flush(self)
