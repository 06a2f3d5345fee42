cimport cython

from ..access_log cimport log_response
from ..channel cimport Channel
from ..endpoint cimport Endpoint
from ..exchange cimport Exchange
from ..head cimport Head
from ..pace cimport Pace
from ..request cimport Request
from ..shared cimport Shared
from ..websocket.session cimport WebSocket
from ..writer cimport Writer
from .kernels cimport encode_literals, frame_header, word_frame

cdef int LENGTH, NO_BODY
cdef dict STATUS_FIELDS
cdef int CANCEL, DATA, END_STREAM, FLOW_CONTROL_ERROR, INTERNAL_ERROR, PROTOCOL_ERROR, WINDOW_UPDATE
cdef Py_ssize_t DEFAULT_WINDOW, MOST_QUEUED, MOST_QUEUED_TOGETHER, MOST_WINDOW, JOINED
cdef int OPEN, HALF_CLOSED_REMOTE, HALF_CLOSED_LOCAL, CLOSED
cdef int UNENDED, ENDS, ENDS_WITH_TRAILERS


cdef class Stream


cdef class Multiplexer(Endpoint):
    cdef readonly object owner
    cdef readonly Writer writer
    cdef public Py_ssize_t send_window, frame_size, queued_content, steps

    cpdef put(self, bytes frames)
    cpdef put_content(self, bytes header, object content, Py_ssize_t size)
    cpdef put_head(self, unsigned int number, bytes status, bytes defaults, bytes block, bytes data, bint ends)
    cpdef put_reset(self, unsigned int number, unsigned int code)
    cpdef bint can_send_at_once(self)
    cpdef expect_head(self, Stream stream)
    cpdef join_turns(self, Stream stream)
    cpdef return_credit(self, Py_ssize_t size)
    cpdef on_ended(self, Stream stream)
    cpdef on_closed(self, Stream stream, bint was_reset)
    cpdef answer(self, Stream stream, int status)
    cpdef keep_counting(self, Exchange exchange)
    cpdef spend_reset(self)


cdef class Stream(Channel):
    cdef readonly unsigned int number
    cdef readonly int state
    cdef Multiplexer _connection
    # The exchange; of a WebSocket, the request is its handshake's.
    cdef public Request request
    cdef public WebSocket session
    # Input: the window and its size; credit; the length of the body.
    cdef readonly Py_ssize_t receive_window
    cdef Py_ssize_t _window_size, _unreturned, _owed, _declared, _received
    cdef bytes _early
    cdef bint _is_patient, _continue_due
    # Output: the window; the content in `out` and where it begins; what follows it.
    cdef public Py_ssize_t send_window
    cdef public bint in_turn
    cdef bint _has_head
    cdef Py_ssize_t _queued, _offset
    cdef bytes _trailers
    cdef int _ending
    cdef bint _stalled_last_tick
    # The deadlines for more of the body, and for progress of the response.
    cdef long _body_by, _write_by

    cpdef bint is_closed(self)
    cpdef bint may_receive(self)
    cpdef reserve(self, Py_ssize_t size)
    cpdef feed(self, bytes data)
    cpdef discard_padding(self, Py_ssize_t size)
    cpdef finish_input(self)
    cpdef lose_client(self)
    cpdef disconnect(self)
    cpdef drain(self)
    cpdef lose(self)
    cpdef refuse(self, error)
    cpdef bint is_unanswered(self)
    cpdef give_up(self)
    cpdef Py_ssize_t room(self)
    cpdef send_head(self, bytes status, bytes defaults, bytes block, bytes data, bint ends)
    cpdef send_interim(self, bytes status, bytes block)
    cpdef end_content(self)
    cpdef send_trailers(self, bytes block)
    cpdef frame_head(self)
    @cython.locals(size=Py_ssize_t, is_last=bint, ends=bint)
    cpdef bint frame_content(self, Py_ssize_t most) except -1
    cpdef bint can_frame_content(self)
    cpdef bint awaits_credit(self)
    cpdef reset(self, unsigned int code)
    cpdef Exchange exchange(self)
    cpdef on_tick(self, long now)
    cpdef bint is_too_slow(self, Pace pace)
    cpdef notice_departure(self)
    cdef _end_session(self)
    cdef _take_credit(self, Py_ssize_t buffered)
    cdef _grant(self, bint grows)
    @cython.locals(first=bytes, piece=bytes, offset=Py_ssize_t, left=Py_ssize_t, missing=Py_ssize_t, count=Py_ssize_t)
    cdef object _take_content(self, Py_ssize_t size)
    cdef bint _has_queued_at_most(self, Py_ssize_t most)
    cdef _send_trailers(self)
    cdef _end(self)
    cdef _close(self, bint was_reset)
    cdef _forget_content(self)
    cdef _finished(self, Request request, int status, bint is_http)
    cdef _log(self, Request request, int status)


@cython.locals(stream=Stream)
cpdef Stream new_stream(Multiplexer connection, Shared shared, unsigned int number, Py_ssize_t send_window, Head head)
