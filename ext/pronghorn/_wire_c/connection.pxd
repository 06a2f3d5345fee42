cimport cython

from .body cimport Decoder
from .head cimport Head, parse
from .request cimport Channel, Request
from .response cimport Encoder
from .scan cimport find_head_end, method_end, monotonic, visible_end
from .shared cimport Limits, Shared

cdef int NO_BODY, LENGTH
cdef bytes CONTINUE
cdef int HEAD, BODY, BEHIND, NOTHING
cdef Py_ssize_t FULL, SMALL
cdef long FRESH_GRACE
cdef double PATIENCE


cdef class Connection(Channel):
    # What it belongs to.
    cdef object _owner, _write, _writelines
    cdef Outbox _outbox
    cdef Shared _shared
    cdef dict _scope
    cdef readonly str client_text
    # What was read.
    cdef bytes _buffer
    cdef Py_ssize_t _position, _resume_at, _discarded
    cdef int _reading
    cdef Decoder _decoder
    cdef bint _advancing, _deferred, _forgiven, _fresh, _paused, _input_ended, _continue_due
    # What is to be written.
    cdef Py_ssize_t _unflushed, _unsent_before
    cdef list _drains
    cdef bint _behind_outbox, _closing, _lingering, _quiet
    # What is under way.
    cdef readonly Request request
    cdef readonly long deadline, write_deadline

    cpdef receive(self, bytes data)
    cpdef flush(self)
    cpdef leave_outbox(self)
    cpdef check(self, long now)
    cpdef bint is_stalled(self)
    cdef _advance(self)
    cdef bint _read_head(self) except -1
    cdef Head _parse(self, bytes buffer, Py_ssize_t start, Py_ssize_t end)
    cdef _wait_for_request(self)
    cdef _wait_for_head(self, Py_ssize_t end, Py_ssize_t start)
    cdef _open(self, Head head)
    cdef bint _read_body(self) except -1
    cdef _next(self)
    cdef _refuse(self, error)
    cdef _break_off(self)
    cdef _answer(self, int status)
    cdef _close(self)
    cdef _finish(self)
    cdef _expire(self)
    cdef _defer(self)
    cdef _pause(self)
    cdef _resume_if_room(self)
    cdef _release(self, error)
    cdef _set_deadline(self, long seconds)
    cdef _set_write_deadline(self)


cdef class Outbox:
    cdef object _call_soon, _run
    cdef list _connections
    cdef bint _scheduled
    cdef double _since

    cpdef add(self, Connection connection)
    @cython.locals(connection=Connection)
    cdef _flush(self)


@cython.locals(connection=Connection)
cpdef sweep(connections, long now)
