cimport cython

from ..access_log cimport log_response
from ..channel cimport Channel
from ..encoder cimport own_answer
from ..forwarded cimport Origin
from ..head cimport Head
from ..kernels cimport cut, find_bare_cr, find_head_end, method_end, visible_end
from ..outbox cimport Outbox
from ..pace cimport Pace
from ..proxies cimport Proxies
from ..request cimport Request, new_request
from ..shared cimport Limits, Shared
from ..websocket.handshake cimport is_websocket_upgrade, switch
from ..websocket.handshake cimport read as read_handshake
from ..websocket.session cimport WebSocket
from ..writer cimport Writer
from .body cimport Decoder
from .head cimport parse, preamble
from .response cimport HTTP1Encoder, new_encoder

cdef int NO_BODY
cdef bytes CONTINUE, PREFACE_LINE
cdef str HTTP_1_1
cdef int IDLE, HEAD, BODY, RESPONDING, FRAMES, DISCARDING
cdef Py_ssize_t PIECE_SIZE, MESSAGE_SIZE
cdef int OPEN, FLUSHING, FLUSHING_TO_LINGER, LINGERING, CLOSED
cdef int NO_TIMER, FIRST_BYTE_TIMER, KEEP_ALIVE_TIMER, HEAD_TIMER, BODY_TIMER, LINGER_TIMER
cdef dict _TIMEOUTS, _KINDS


cdef class Connection(Channel):
    # Output.
    cdef object _owner
    cdef readonly Writer writer
    cdef Outbox _outbox
    cdef bint _in_outbox
    # The peer.
    cdef dict _scope
    cdef readonly str peer_text
    cdef Proxies _proxies
    # Input, and the positions where parsing continues.
    cdef bytes _buffer
    cdef Py_ssize_t _position, _resume_at
    cdef Decoder _decoder
    cdef readonly int reading
    # The current exchange; the number of requests so far.
    cdef readonly Request request
    cdef WebSocket _session
    cdef Py_ssize_t _requests
    # The running timer and its deadline, in seconds of `Shared.now`.
    cdef readonly long deadline
    cdef int _timer
    # The deadline of a whole request, and the number of that request.
    cdef long _request_by
    cdef Py_ssize_t _timed
    # The end: its state, the bytes discarded, and the second by which lingering ends.
    cdef int _end
    cdef Py_ssize_t _discarded
    cdef long _linger_by
    # `_advance` is on the stack; `process_deferred` will be called in the next iteration.
    cdef bint _advancing, _deferred
    # Independent facts about the head, the body, the stream, the transport and the response.
    cdef bint _skipped_crlf, _continue_due, _input_ended, _paused, _stalled_last_tick

    cpdef receive(self, bytes data)
    cpdef flush(self)
    cdef _advance(self)
    cdef _forget_read(self)
    cdef bint _read_head(self) except -1
    cdef Head _parse(self, bytes buffer, Py_ssize_t start, Py_ssize_t end)
    cdef _wait_for_head(self, Py_ssize_t end, Py_ssize_t start)
    @cython.locals(has_body=bint, is_http11=bint, origin=Origin)
    cdef _open(self, Head head)
    cdef _open_websocket(self, Head head, dict scope, str client_text)
    @cython.locals(start=Py_ssize_t)
    cdef bint _read_body(self) except -1
    cdef _next(self)
    cdef _expect_request(self)
    cdef bint _may_reuse(self, Request request)
    cdef HTTP1Encoder _encoder(self, Request request)
    cdef _finished(self, Request request, int status)
    cdef _log(self, Request request, int status)
    cdef _refuse(self, error)
    cdef _to_http2(self)
    cdef _break_off(self)
    cdef _answer(self, int status)
    cdef _close(self)
    cdef _discard_input(self)
    cdef _finish(self)
    cdef _continue_lingering(self, Py_ssize_t size)
    cdef _stop_lingering(self)
    cdef _shut(self)
    cdef _abort(self)
    cdef _arm(self, int timer, long seconds)
    cdef _disarm(self)
    cdef _expire(self)
    cdef _check_pace(self)
    cdef _check_request(self, long now)
    cdef _give_up(self, Request request)
    cdef _disconnect(self, Request request)
    cdef _notice_departure(self)
    cdef _on_writable(self)
    cdef _defer(self)
    cdef _maybe_resume_reading(self)
