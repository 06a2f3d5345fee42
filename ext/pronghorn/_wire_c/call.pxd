cimport cython

from .exchange cimport Exchange
from .kernels cimport advance

cdef object RETURNED


cdef class Application:
    cdef readonly set tasks
    cdef object _app, _context, _create_task, _end, _loop
    cdef bint _eager

    @cython.locals(call=Call)
    cpdef start(self, Exchange exchange)


cdef class Call:
    cdef Application _application
    cdef object _coroutine
    # None once the call has ended.
    cdef Exchange _exchange

    @cython.locals(exchange=Exchange)
    cdef bint _begin(self) except -1
    @cython.locals(exchange=Exchange, application=Application)
    cdef _finish(self, error, result)
