cimport cython

from ..encoder cimport own_answer
from ..forwarded cimport Origin
from ..head cimport Head, new_head
from ..kernels cimport cut
from ..outbox cimport Outbox
from ..pace cimport Pace
from ..proxies cimport Proxies
from ..request cimport Request, new_request
from ..shared cimport Limits, Shared
from ..websocket.handshake cimport Handshake, read_extended
from ..websocket.session cimport WebSocket
from .budget cimport Budget
from .fields cimport check_trailers, read_head
from .hpack cimport Decoder
from .kernels cimport frame_header, word_frame
from .output cimport Output
from .response cimport HTTP2Encoder, new_encoder
from .stream cimport Stream, new_stream

cdef str HTTP_2
cdef int LENGTH, NO_BODY, UNTIL_END
cdef int CONTINUATION, DATA, GOAWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE
cdef int ACK, END_HEADERS, END_STREAM, HAS_PRIORITY, PADDED
cdef int ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE
cdef int MAX_HEADER_LIST_SIZE, NO_RFC7540_PRIORITIES
cdef int ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
cdef int SETTINGS_TIMEOUT, STREAM_CLOSED
cdef Py_ssize_t DEFAULT_WINDOW, GREATEST_FRAME_SIZE, GREATEST_WINDOW, LEAST_FRAME_SIZE
cdef bytes PREFACE
cdef Py_ssize_t MOST_FRAMES_A_TURN
cdef int PREFACE_DUE, SETTINGS_DUE, FRAMES
cdef Py_ssize_t MOST_STREAMS, CONNECTION_WINDOW, MOST_BLOCK_SIZE, MOST_CONTINUATIONS, MOST_SETTINGS, MOST_REMEMBERED


cdef class HTTP2Connection(Output):
    # The peer.
    cdef dict _scope, _trailers_scope
    cdef readonly str peer_text
    cdef Proxies _proxies
    # Input: unread bytes; a field block that is incomplete; the DATA frame that is being read.
    cdef readonly int reading
    cdef bytes _buffer
    cdef Py_ssize_t _position
    cdef Decoder _decoder
    cdef list _block
    cdef unsigned int _block_number
    cdef bint _block_ends
    cdef Py_ssize_t _block_continuations
    cdef unsigned int _data_number
    cdef Py_ssize_t _data_left, _padding_left
    cdef bint _data_ends
    # The window that the client has left, and credit that it does not have yet.
    cdef Py_ssize_t _window, _owed
    # The greatest number of a stream, and whether the client leaves some out; how many this iteration has started; the
    # window that each begins with.
    cdef unsigned int _last
    cdef bint _skips
    cdef Py_ssize_t _started, _initial_window
    # Streams that we have reset; applications of reset streams that still run.
    cdef dict _remembered
    cdef list _abandoned
    # Streams whose applications are to be started.
    cdef list _opened
    # Limits.
    cdef Budget _budget
    cdef long _idle_by, _acknowledged_by, _head_by, _window_by
    cdef dict _paces, _request_ends
    # `_advance` is on the stack; `process_deferred` will be called in the next iteration; the budget is spent.
    cdef bint _advancing, _deferred, _throttled

    cpdef receive(self, bytes data)
    @cython.locals(frames=Py_ssize_t)
    cdef _advance(self)
    @cython.locals(
        buffer=bytes, start=Py_ssize_t, available=Py_ssize_t, size=Py_ssize_t, number="unsigned int", kind=int,
        flags=int
    )
    cdef bint _read_one(self) except -1
    cdef _read_frame(self, int kind, int flags, unsigned int number, Py_ssize_t start, Py_ssize_t end)
    cdef _spend_frame(self)
    cdef bint _read_preface(self, Py_ssize_t start, Py_ssize_t available) except -1
    @cython.locals(stream=Stream, padding=Py_ssize_t, prefix=Py_ssize_t)
    cdef _begin_data(self, Py_ssize_t start, Py_ssize_t size, int flags, unsigned int number)
    @cython.locals(
        stream=Stream, start=Py_ssize_t, available=Py_ssize_t, size=Py_ssize_t, number="unsigned int", data=bytes
    )
    cdef bint _read_data(self) except -1
    @cython.locals(stream=Stream)
    cdef _end_data(self)
    @cython.locals(padding=Py_ssize_t)
    cdef _read_headers(self, int flags, unsigned int number, Py_ssize_t start, Py_ssize_t end)
    cdef _read_continuation(self, int flags, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(stream=Stream, decoder=Decoder, limits=Limits, number="unsigned int", fields=list, head=Head)
    cdef _read_block(self, bytes block)
    @cython.locals(stream=Stream, increment=Py_ssize_t)
    cdef _read_window_update(self, unsigned int number, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(stream=Stream)
    cdef _read_rst_stream(self, unsigned int number, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(
        size=Py_ssize_t, buffer=bytes, window=Py_ssize_t, at=Py_ssize_t, setting=int, value=Py_ssize_t
    )
    cdef _read_settings(self, int flags, unsigned int number, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(stream=Stream)
    cdef _change_window(self, Py_ssize_t change)
    cdef _read_ping(self, int flags, unsigned int number, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(shared=Shared, origin=Origin, stream=Stream, encoder=HTTP2Encoder, request=Request, has_body=bint)
    cdef _open(self, unsigned int number, Head head)
    @cython.locals(stream=Stream, opened=list)
    cdef _start_opened(self)
    @cython.locals(shared=Shared, handshake=Handshake)
    cdef _open_websocket(self, Stream stream, Request request)
    @cython.locals(head=Head, stream=Stream)
    cdef _refuse(self, unsigned int number, error)
    @cython.locals(stream=Stream)
    cdef _fail_stream(self, unsigned int number, error)
    cdef _check_not_idle(self, unsigned int number, kind)
    cdef _check_closed(self, unsigned int number, kind)
    cdef _forget_finished(self)
    cdef _send_settings(self)
    cdef _close_if_done(self)
    cdef _expect_request(self)
    cdef _fail(self, error)
    cdef bint _may_have_input(self) except -1
    cdef _expire(self, long now)
    @cython.locals(stream=Stream, pace=Pace)
    cdef _check_paces(self)
    @cython.locals(stream=Stream, end=long)
    cdef _check_requests(self, long now)
    cdef _check_window(self, long now)
    cdef _defer(self)


cdef Py_ssize_t _uint31(bytes data, Py_ssize_t at)
