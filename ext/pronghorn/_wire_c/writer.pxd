cimport cython

from .kernels cimport send_buffers_now, send_now
from .shared cimport Shared

cdef Py_ssize_t FLUSH_AT, MAX_PER_ITERATION, JOIN_UP_TO, MOST_BUFFERS
cdef int WRITE
cdef int READY, YIELDING, FULL, ENDED


@cython.final
cdef class Writer:
    # The transport and its owner, None once the connection is lost.
    cdef object _owner, _transport
    cdef Shared _shared
    cdef int _fd
    cdef bint _joins
    # Gathered output: its size, and the size of this iteration's output.
    cdef readonly list out
    cdef Py_ssize_t _unflushed, _iteration_size
    # Bytes passed to the transport or the system so far, and the owner's last result of `delivered`.
    cdef Py_ssize_t _handed, _acknowledged
    # The transport may still have older bytes, which must be written first.
    cdef bint _transport_has_data
    cdef int _state
    cdef public long deadline

    cpdef bint is_ready(self)
    cpdef queued(self, Py_ssize_t size)
    cpdef bint end_iteration(self)
    cpdef flush(self)
    cpdef put(self, bytes data)
    cdef _put_buffers(self, list buffers, Py_ssize_t size)
    cdef _count(self, Py_ssize_t size)
    cdef bint _may_write_directly(self) except -1
    cpdef pause(self)
    cpdef bint resume(self)
    cpdef end(self)
    cpdef lose(self)
    cpdef expect_reading(self)
    cpdef bint is_given_up(self, long now, bint is_open) except -1


cdef list _rest(list buffers, Py_ssize_t start)
