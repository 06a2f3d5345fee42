from .channel cimport Channel, Outbox
from .request cimport Request
from .scan cimport send_now
from .shared cimport Shared

cdef int OPEN, CLOSING, CLOSED
cdef Py_ssize_t FULL, SHARE, SMALL


cdef class Output(Channel):
    # What it belongs to.
    cdef object _owner, _transport
    cdef Outbox _outbox
    cdef Shared _shared
    # What is under way.
    cdef readonly Request request
    # What is gathered, and what the transport still has.
    cdef Py_ssize_t _turn_size, _unflushed
    # What was handed to the transport or the system, and the owner's `delivered` when it was last asked.
    cdef Py_ssize_t _handed, _delivered
    cdef list _drains
    cdef int _fd
    cdef bint _joins
    cdef bint _backlog, _behind_outbox, _full, _greedy, _quiet
    # Its end.
    cdef int _life
    cdef readonly long write_deadline

    cpdef flush(self)
    cpdef put(self, bytes data)
    cpdef finish(self)
    cpdef bint is_stalled(self)
    cpdef went_writable(self)
    cdef _write_on(self)
    cdef watch_unread(self)
    cdef check_unread(self, long now)
