cimport cython

cdef Py_ssize_t MOST_AT_ONCE


cdef class Turns:
    cdef object _call_soon, _run, _waiting
    cdef bint _is_scheduled

    cpdef bint is_busy(self)
    cpdef ask(self, member, bint has_begun)
    @cython.locals(size=Py_ssize_t)
    cpdef run(self)
