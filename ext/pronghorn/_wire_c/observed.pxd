cimport cython

from .encoder cimport has_field
from .exchange cimport Exchange
from .head cimport Head
from .kernels cimport monotonic
from .request cimport Request

cdef Py_ssize_t DIGITS, IDS_AT_ONCE


cdef class Observer:
    cdef bytes _field
    cdef object _report
    cdef double _slow
    # Digits of ids that are not used yet begin at the position.
    cdef str _ids
    cdef Py_ssize_t _position

    @cython.locals(request=ObservedRequest)
    cpdef ObservedRequest new_request(self, Head head)
    cpdef on_end(self, Request request, int status)
    cdef str _given_id(self, list fields)
    cdef str _made_id(self)


cdef class ObservedRequest(Request):
    cdef bytes _field
    cdef str _id
    # When the application was called; the waits for the client in progress, their begin, and the seconds of those over.
    cdef double _called, _waits_since, _waited
    cdef int _waits
    cdef bint _awaits_body

    @cython.locals(now=double, total=double, queue=double, client=double)
    cpdef tuple times(self)
    cpdef begin_wait(self)
    cpdef end_wait(self)


cdef class ClientWait:
    # None once the wait is over.
    cdef ObservedRequest _request
    cdef object _waiting

    @cython.locals(request=ObservedRequest)
    cdef _end(self)
