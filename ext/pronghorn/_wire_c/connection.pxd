cimport cython

from .access cimport AccessLines
from .body cimport Decoder
from .handshake cimport is_asked_for, switch
from .handshake cimport read as read_handshake
from .head cimport Head, parse, preamble
from .output cimport Output
from .proxy cimport Origin, Proxies
from .request cimport Request
from .response cimport Encoder
from .scan cimport cut, find_bare_cr, find_head_end, method_end, monotonic, visible_end
from .shared cimport Limits, Shared
from .websocket cimport WebSocket

cdef int NO_BODY
cdef bytes CONTINUE
cdef int HEAD, BODY, BEHIND, NOTHING, FRAMES
cdef int OPEN, CLOSING, LINGERING, CLOSED


cdef class Connection(Output):
    cdef dict _scope
    cdef readonly str client_text, peer_text
    cdef Proxies _proxies
    # What was read.
    cdef bytes _buffer
    cdef Py_ssize_t _position, _resume_at, _discarded
    cdef int _reading
    cdef Decoder _decoder
    cdef WebSocket _session
    cdef bint _advancing, _deferred, _forgiven, _fresh, _paused, _input_ended, _continue_due, _lingers
    cdef readonly long deadline
    cdef long _linger_by

    cpdef receive(self, bytes data)
    cpdef check(self, long now)
    cpdef bint has_begun(self)
    cdef _advance(self)
    cdef _forget_read(self)
    cdef bint _read_head(self) except -1
    cdef Head _parse(self, bytes buffer, Py_ssize_t start, Py_ssize_t end)
    cdef _wait_for_request(self)
    cdef _wait_for_head(self, Py_ssize_t end, Py_ssize_t start)
    cdef _open(self, Head head)
    @cython.locals(origin=Origin)
    cdef dict _behind_proxy(self, Head head)
    cdef _open_websocket(self, Head head, dict scope)
    cdef bint _read_body(self) except -1
    cdef _next(self)
    @cython.locals(log=AccessLines)
    cdef _log(self, Request request, status)
    cdef _refuse(self, error)
    cdef _break_off(self)
    cdef _answer(self, int status)
    cdef _close(self)
    cdef _linger_on(self, Py_ssize_t size)
    cdef _stop_lingering(self)
    cdef _shut(self)
    cdef _expire(self)
    cdef _defer(self)
    cdef _pause(self)
    cdef _resume_if_room(self)
    cdef _set_deadline(self, long seconds)


@cython.locals(connection=Connection)
cpdef sweep(connections, long now)
