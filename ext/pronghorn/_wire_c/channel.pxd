cimport cython

from .scan cimport monotonic

cdef double PATIENCE


cdef class Channel:
    cdef readonly list out
    cdef readonly bint writable

    cpdef sent(self, Py_ssize_t size)
    cpdef ended(self)
    cpdef wanted(self)
    cpdef hold(self)
    cpdef accept(self, session, list fields)
    cpdef bint can_outlive(self) except -1
    cpdef drained(self)
    cpdef release(self, error)
    cpdef send_file(self, request, message)
    cpdef leave_outbox(self)
    cpdef crash(self, error)
    cpdef cut(self, reason)
    cpdef answered(self, request, status)


cdef class Outbox:
    cdef object _call_soon, _run
    cdef list _channels
    cdef bint _scheduled
    cdef double _since

    cpdef add(self, Channel channel)
    @cython.locals(channel=Channel)
    cdef _flush(self)
