cimport cython

from .channel cimport Channel
from .head cimport Head
from .response cimport Encoder
from .scan cimport stop_with
from .shared cimport Shared

cdef object RECEIVE
cdef int WAITING, STARTED, SENDING_FILE, TRAILERS, COMPLETE


cdef class Step:
    cdef Request _request
    cdef object _message
    cdef object _waiting

    cdef _go_on(self)


@cython.locals(step=Step)
cdef Step _step(Request request, object message)


cdef class Request:
    cdef readonly Head head
    cdef readonly Encoder encoder
    cdef readonly dict scope
    cdef Channel _channel
    cdef Shared _shared
    # The request's body on its way to the application.
    cdef list _parts, _arrivals
    cdef readonly Py_ssize_t buffered
    cdef public bint body_done
    cdef bint _taken
    # The response.
    cdef int _phase
    cdef list _trailers
    cdef bint _with_trailers, _announced
    # The client.
    cdef bint _disconnected, _lost, _told

    cpdef feed(self, bytes data)
    cpdef finish_body(self)
    cpdef disconnect(self)
    cpdef lose(self)
    cpdef bint is_waiting(self)
    cpdef bint is_started(self)
    cpdef bint is_streaming(self)
    cpdef bint is_complete(self)
    cpdef bint is_lost(self)
    cpdef bint was_told(self)
    cpdef bint is_refusable(self)
    cpdef replace(self, Encoder encoder)
    cpdef announce(self)
    cpdef wake(self)
    cpdef arrival(self)
    cpdef dict take(self)
    cpdef deliver(self, dict message)
    cpdef bint begin_file(self, Py_ssize_t size) except -1
    cpdef end_file(self, bint present, bint more)
    cpdef dict make_scope(self, dict connection_scope)
    cdef dict _take_body(self)
    cdef _count_sent(self, Py_ssize_t start)
    cdef _send_body(self, bytes data, bint more)
    cdef _complete(self, Py_ssize_t size)
    cdef _deliver_other(self, kind, dict message)
