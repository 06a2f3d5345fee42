from .channel cimport Channel
from .exchange cimport Exchange, Turn, as_bytes
from .head cimport Head
from .response cimport Encoder
from .shared cimport Shared

cdef int WAITING, STARTED, SENDING_FILE, TRAILERS, COMPLETE
cdef Py_ssize_t LARGE_PART


cdef class Request(Exchange):
    cdef readonly Head head
    cdef readonly Encoder encoder
    cdef readonly dict scope
    cdef Channel _channel
    cdef public double began
    # The request's body on its way to the application.
    cdef list _parts
    cdef readonly Py_ssize_t buffered
    cdef public bint body_done
    cdef bint _taken
    # The response.
    cdef int _phase
    cdef list _trailers
    cdef bint _with_trailers, _announced
    # The client.
    cdef bint _disconnected, _heard, _lost, _told

    cpdef feed(self, bytes data)
    cpdef finish_body(self)
    cpdef disconnect(self)
    cpdef lose(self)
    cpdef bint is_started(self)
    cpdef bint is_streaming(self)
    cpdef bint is_complete(self)
    cpdef bint is_lost(self)
    cpdef bint was_told(self)
    cpdef bint is_refusable(self)
    cpdef replace(self, Encoder encoder)
    cpdef announce(self)
    cpdef bint begin_file(self, Py_ssize_t size) except -1
    cpdef end_file(self, bint present, bint more)
    cpdef dict make_scope(self, dict connection_scope)
    cdef dict _take_body(self)
    cdef _count_sent(self, Py_ssize_t start)
    cdef _send_body(self, bytes data, bint more)
    cdef _deliver_to_nobody(self, kind, dict message)
    cdef _complete(self, Py_ssize_t size)
    cdef _deliver_other(self, kind, dict message)
