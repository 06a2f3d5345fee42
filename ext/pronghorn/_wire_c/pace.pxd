cimport cython

cdef Py_ssize_t SECONDS


@cython.final
cdef class Pace:
    cdef Py_ssize_t _rate, _credit, _size

    cpdef bint is_too_slow(self, Py_ssize_t size)
