cimport cython

cdef str HTTP_1_0, HTTP_1_1

@cython.final
cdef class Limits:
    cdef readonly Py_ssize_t head_size, head_fields, target_size, body_size, body_buffer, discard, pipelined
    cdef readonly Py_ssize_t linger_size
    cdef readonly Py_ssize_t message_size, messages
    cdef readonly long first_byte, head, body, write, keep_alive, linger, linger_longest
    cdef readonly long ping_interval, ping_timeout, closing


cdef class Shared:
    cdef readonly Limits limits
    cdef readonly object create_future, proxies
    cdef public object access_log
    cdef readonly bint logs_at_end, ignores_lost
    # Parts of a scope.
    cdef public dict scope, asgi, extensions, state
    cdef readonly str root_path
    cdef readonly bytes root_path_bytes
    # Parts of a response's head.
    cdef bint _has_date
    cdef list _date, _server, _fields
    cdef readonly list default_fields
    cdef readonly bytes default_block
    # WebSockets.
    cdef readonly bint websockets
    cdef readonly object zlib
    # Variable state.
    cdef public bint draining
    cdef public Py_ssize_t total_requests
    cdef readonly long now

    cpdef dict http10_scope(self, dict scope)
    cpdef bytes block_beside(self, bint own_date, bint own_server)
    cpdef long deadline(self, long seconds) except -1


cdef bytes _frame(list fields)
