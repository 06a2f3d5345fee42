cimport cython

from .channel cimport Channel
from .encoder cimport Encoder
from .exchange cimport Exchange, YieldOnce, as_bytes
from .head cimport Head
from .kernels cimport monotonic
from .shared cimport Shared

cdef int WAITING, STARTED, STREAMING, SENDING_FILE, TRAILERS, COMPLETE, DROPPED
cdef int ARRIVING, ARRIVED, TAKEN
cdef int PRESENT, HALF_CLOSED, LOST
cdef int UNREPORTED, BY_RECEIVE, BY_SEND
cdef Py_ssize_t LARGE_PART, MAX_PARTS


cdef class Request(Exchange):
    cdef readonly Head head
    cdef readonly Encoder encoder
    cdef dict _scope_template
    cdef public double began
    cdef readonly double answered
    # The request's body, as far as the application has not received it.
    cdef list _parts
    cdef readonly Py_ssize_t buffered
    cdef list _trailers
    # The states of the body, the response and the client: side by side, they take one word.
    cdef signed char _body, _phase, _client, _reported_by
    cdef readonly bint is_probe

    cpdef feed(self, bytes data)
    cpdef finish_body(self)
    cpdef outlive(self)
    cpdef forget_body(self)
    cpdef disconnect(self)
    cpdef lose(self)
    cpdef bint is_started(self)
    cpdef bint is_streaming(self)
    cpdef bint is_complete(self)
    cpdef bint is_cut_short(self)
    cpdef bint is_lost(self)
    cpdef bint knows_client_left(self)
    cpdef bint is_refusable(self)
    cpdef bint awaits_body(self)
    cpdef str request_id(self)
    cpdef list own_fields(self, list fields)
    cpdef replace(self, Encoder encoder)
    cpdef abandon(self)
    cpdef count_end(self, int status, bint is_cancelled, bint is_http)
    cpdef set_apart(self)
    cpdef Py_ssize_t frame_head(self) except -1
    cpdef bint begin_file(self, Py_ssize_t size) except -1
    cpdef file_sent(self, Py_ssize_t size)
    cpdef end_file(self, bint present, bint more)
    cpdef dict make_scope(self)
    cdef dict _take_body(self)
    cdef _count_queued(self, Py_ssize_t start)
    cdef _to_streaming(self, bint more)
    cdef _send_body(self, bytes data, bint more)
    cdef _deliver_to_nobody(self, kind, dict message)
    cdef _complete(self, Py_ssize_t size)
    cdef _deliver_other(self, kind, dict message)


@cython.locals(request=Request)
cpdef Request new_request(
    Head head, bint has_body, Encoder encoder, Channel channel, Shared shared, dict scope_template, str client_text
)
