from .scan cimport is_plain_path

cdef Py_ssize_t LINES_AT_ONCE


cdef class AccessLines:
    cdef object _log, _call_soon
    cdef list _lines
    cdef str _prefix, _before, _after

    cpdef add(self, str client, dict scope, status)
