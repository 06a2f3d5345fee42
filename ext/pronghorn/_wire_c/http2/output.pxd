cimport cython

from ..kernels cimport cut
from ..outbox cimport Outbox
from ..shared cimport Limits, Shared
from ..writer cimport Writer
from .kernels cimport frame_header, frame_response
from .stream cimport Multiplexer, Stream

cdef int CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, NO_ERROR, PING
cdef Py_ssize_t DEFAULT_WINDOW, GREATEST_WINDOW, LEAST_FRAME_SIZE
cdef int SERVING, NOTICED, LEAVING, FLUSHING, LINGERING, GONE
cdef Py_ssize_t MOST_UNREAD, TURN
cdef long NOTICE
cdef bytes NOTICE_PING


cdef class Output(Multiplexer):
    cdef readonly dict streams
    cdef Shared _shared
    cdef Outbox _outbox
    cdef bint _in_outbox
    # Streams with a head to frame, with content to frame, and those that have ended before the client's side.
    cdef list _heads, _turns, _ended
    # Bytes queued since the client has last read.
    cdef Py_ssize_t _unread
    # The end: the greatest stream that is served, the state, the seconds by which it goes on, the bytes discarded.
    cdef unsigned int _last_served
    cdef int _end
    cdef long _end_by, _linger_by
    cdef Py_ssize_t _discarded
    # Independent facts about the client's stream of bytes and the transport.
    cdef bint _input_ended, _paused

    cpdef begin(self, owner, transport, Outbox outbox, Shared shared, int fd, bint joins)
    @cython.locals(stream=Stream, heads=list)
    cpdef flush(self)
    cpdef bint is_ending(self)
    cpdef bint is_gone(self)
    cpdef bint is_leaving(self)
    cpdef bint has_input_waiting(self)
    cpdef bint has_all_input(self)
    cpdef forget_input(self)
    cdef _count(self, Py_ssize_t size)
    cdef _schedule(self)
    @cython.locals(stream=Stream, turns=list, writer=Writer)
    cdef _take_turns(self)
    @cython.locals(stream=Stream)
    cdef _reset_ended(self)
    @cython.locals(stream=Stream)
    cdef _reset_starved(self)
    cdef _put_goaway(self, unsigned int last, int code, bytes reason)
    cdef _on_writable(self)
    cdef _on_pong(self, bytes payload)
    cdef _end_in_time(self)
    cdef _leave(self)
    cdef _close_if_done(self)
    @cython.locals(stream=Stream)
    cdef _close(self, int code, str reason)
    cdef _forget(self)
    cdef _finish(self)
    cdef _continue_lingering(self, Py_ssize_t size)
    cdef _stop_lingering(self)
    cdef _shut(self)
    cdef _abort(self)
    cdef _pause(self)
    cdef _maybe_resume(self)
