cimport cython

from .kernels cimport cut, find_byte, is_plain_host, unquote

cdef int NO_BODY
cdef str HTTP_1_1


@cython.final
cdef class Head:
    cdef readonly str method, path, version
    cdef readonly bytes raw_path, query, upgrade
    cdef readonly list headers
    cdef readonly bint keep_alive, accepts_trailers, expects_continue
    cdef readonly int framing
    cdef readonly Py_ssize_t length


@cython.locals(head=Head)
cpdef Head new_head(str method, str version, list headers)
cpdef set_target(Head head, bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef set_asterisk(Head head)
cpdef bint is_host(bytes value) except -1
cpdef put_host(list headers, bytes value)
cpdef list members(bytes value)
