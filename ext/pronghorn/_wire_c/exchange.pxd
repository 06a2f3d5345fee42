cimport cython

from .scan cimport stop_with
from .shared cimport Shared

cdef object RECEIVE


cdef class Step:
    cdef Exchange _exchange
    cdef object _message
    cdef object _waiting

    cdef _go_on(self)


cdef class Turn:
    cdef bint _over


@cython.locals(step=Step)
cdef Step _step(Exchange exchange, object message)


cdef class Exchange:
    cdef Shared _shared
    cdef public object task
    cdef object _arrival
    cdef list _others

    cpdef begin(self, Shared shared)
    cpdef dict take(self)
    cpdef deliver(self, dict message)
    cpdef bint is_waiting(self)
    cpdef wake(self)
    cpdef arrival(self)


cpdef bytes as_bytes(data)
