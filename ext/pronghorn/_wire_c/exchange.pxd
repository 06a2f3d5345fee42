cimport cython

from .channel cimport Channel
from .kernels cimport stop_with
from .shared cimport Shared

cdef object RECEIVE


cdef class Step:
    cdef Exchange _exchange
    cdef object _message
    cdef object _waiting

    cdef _resume(self)


cdef class YieldOnce:
    cdef bint _has_yielded


@cython.locals(step=Step)
cdef Step _step(Exchange exchange, object message)


cdef class Exchange:
    cdef Shared _shared
    cdef Channel _channel
    cdef readonly str client_text
    cdef readonly dict scope
    cdef public object task
    # Futures of pending `receive()` calls.
    cdef object _arrival
    cdef list _others

    cpdef begin(self, Shared shared, Channel channel, str client_text)
    cpdef call(self, app)
    cpdef dict take(self)
    cpdef deliver(self, dict message)
    cpdef fail(self, int status)
    cpdef crash(self, error)
    cpdef bint awaits_answer(self)
    cpdef bint is_settled(self)
    cpdef bint is_stalled(self)
    cpdef bint send_has_failed(self)
    cpdef bint outlives_client(self)
    cpdef bint is_waiting(self)
    cpdef wake(self)
    cpdef arrival(self)


cpdef bytes as_bytes(data)
