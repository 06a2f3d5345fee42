cimport cython

from .http2.kernels cimport encode_literals
from .metrics cimport Metrics

cdef str HTTP_1_0, HTTP_1_1, HTTP_2

@cython.final
cdef class Limits:
    # Bytes, and numbers of things.
    cdef readonly Py_ssize_t head_size, head_fields, target_size, body_size, body_rate, body_buffer_size
    cdef readonly Py_ssize_t discard_size, linger_size, message_size
    cdef readonly Py_ssize_t pipelined_requests, queued_messages, requests, last_stream
    # Seconds.
    cdef readonly long first_byte_timeout, head_timeout, body_timeout, write_timeout, request_timeout
    cdef readonly long keep_alive_timeout
    cdef readonly long linger_timeout, linger_total_timeout, ping_interval, ping_timeout, close_timeout


cdef class Shared:
    cdef readonly Limits limits
    cdef readonly object create_future, observer, proxies
    cdef public object access_log
    cdef readonly Metrics metrics
    cdef readonly bint logs_at_end, times_requests, ignores_lost
    # Parts of a scope.
    cdef public dict scope, asgi, extensions, state
    cdef readonly str root_path
    cdef readonly bytes root_path_bytes
    # Parts of a response's head.
    cdef bint _has_date
    cdef list _date, _server, _fields
    cdef readonly list default_fields
    cdef readonly bytes default_block, http2_block
    # WebSockets.
    cdef readonly bint websockets
    cdef readonly object zlib, turns
    # HTTP/2.
    cdef readonly bint http2
    # Variable state.
    cdef public bint draining
    cdef public Py_ssize_t total_requests
    cdef readonly long now

    cpdef timed_out(self, int kind)
    cpdef dict http10_scope(self, dict scope)
    cpdef dict http2_scope(self, dict scope, bint trailers)
    cpdef bytes block_beside(self, bint own_date, bint own_server)
    cpdef bytes http2_block_beside(self, bint own_date, bint own_server)
    cdef list _fields_beside(self, bint own_date, bint own_server)
    cpdef long deadline(self, long seconds) except -1


cdef bytes _frame(list fields)
cdef bytes _encode(list fields)
