from .endpoint cimport Endpoint
from .shared cimport Shared


cdef class Channel(Endpoint):
    cdef readonly list out
    cdef Shared _shared
    cdef list _write_waiters

    # Output
    cpdef queued(self, Py_ssize_t size)
    cpdef bint is_writable(self)
    cpdef wait_writable(self)
    cpdef bint has_write_waiters(self)
    cpdef wake_writers(self, error)
    cpdef disconnect_writers(self)
    cpdef send_file(self, request, message)
    # Input
    cpdef need_body(self)
    cpdef pause_reading(self)
    cpdef skip_body(self, request)
    # Exchange lifecycle
    cpdef response_started(self, request, int status)
    cpdef exchange_ended(self)
    cpdef accept(self, session, list fields)
    cpdef fail(self, request, int status)
    cpdef abandon(self, request)
    cdef bint answer_late(self, owner, request, session) except -1
    cpdef report_slow_client(self, reason)
