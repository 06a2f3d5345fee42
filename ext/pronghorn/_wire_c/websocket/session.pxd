cimport cython

from ..encoder cimport checked_fields
from ..exchange cimport Exchange, as_bytes
from ..request cimport Request
from .deflate cimport Deflate
from .frames cimport Reader, close_payload, frame, is_close_code, text_frame
from .handshake cimport Handshake

cdef int CONNECTING, DENYING, OPEN, LEAVING, FAILING, CLOSING, LEFT, CLOSED
cdef int BINARY, CLOSE, COMPRESSED, ENOUGH, NOTHING, PING, PONG, TEXT
cdef int INTERNAL_ERROR, LOST, NORMAL, SERVICE_RESTART
cdef int LEAVE_TIMEOUT
cdef Py_ssize_t WORTHWHILE


cdef class WebSocket(Exchange):
    cdef readonly Handshake handshake
    cdef Request _request
    cdef int _state
    # The HTTP response that denies the handshake.
    cdef dict _denial
    cdef list _denial_parts
    # Messages from the client.
    cdef Reader _reader
    cdef list _messages
    cdef Py_ssize_t _queued
    cdef bint _connected
    cdef readonly bint is_held
    cdef bint _waits_for_turn
    # Messages to the client.
    cdef Deflate _deflate
    cdef bytes _pong_due
    # Keep-alive and closing.
    cdef bint _answering, _heard
    cdef object _failure
    cdef long _ping_at, _lost_by, _close_by
    cdef int _code
    cdef str _reason
    cdef readonly bint client_closed

    cpdef close(self, int code, str reason)
    cpdef bint finish(self, bint failed) except -1
    cpdef bint is_over(self)
    cpdef feed(self, bytes data)
    cpdef end_input(self)
    cpdef Py_ssize_t take_turn(self) except -1
    cpdef restart(self)
    cpdef on_tick(self, long now)
    cpdef on_writable(self)
    cdef _read(self, bint is_turn)
    cdef _queue(self, payload)
    cdef bint _is_full(self) except -1
    cdef dict _take_message(self)
    cdef _hold(self)
    cdef _wait_for_turn(self)
    @cython.locals(state=int)
    cdef _maybe_resume_reading(self, bint is_turn)
    cdef _pong(self, bytes payload)
    cdef _send(self, dict message)
    cdef _send_frame(self, int opcode, bytes payload)
    cdef _accept(self, dict message)
    cdef _begin_denial(self, dict message)
    cdef _continue_denial(self, dict message)
    @cython.locals(has_failed=bint)
    cdef _start_closing(self, int code, str reason)
    cdef _close_with(self, int code, str reason)
    cdef _to_failing(self, error)
    cdef _fail(self, error)
    cdef _close_at_once(self, int code, str reason)
    cdef _finish_closing(self)
    cdef _end(self, int code, str reason)
    cdef _keep_alive(self, long now)


cdef dict _scope(dict scope, Handshake handshake)
cdef _closed()
cdef int _close_code(code) except -1
cdef str _as_text(text)
