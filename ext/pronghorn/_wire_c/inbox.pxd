cimport cython

from .endpoint cimport Endpoint
from .kernels cimport monotonic, readable
from .outbox cimport Outbox

cdef Py_ssize_t MIN_BATCH, FIRST_BATCH, MAX_BATCH, SMALL
cdef double MAX_TIME
cdef bytes UNREAD


cdef class Inbox:
    cdef Py_ssize_t _batch
    cdef object _context, _loop, _open_poll, _poll
    cdef dict _members
    cdef Outbox _outbox

    cpdef bint has_input(self)
    @cython.locals(ready=list, start=double, end=double, now=double)
    cpdef run(self)
    cdef _serve(self, list ready)
    @cython.locals(waiting=list, data=bytes, member=Endpoint)
    cdef _read_all(self, list ready)
    @cython.locals(data=bytes, member=Endpoint)
    cdef _process_from(self, list waiting, Py_ssize_t index)
    cdef bytes _read(self, Endpoint member, fd)
    cdef _process(self, Endpoint member, fd, bytes data)
    cdef _forget(self, fd)


cdef class Reader(Endpoint):
    cdef object _callback, _report
    cdef tuple _arguments
