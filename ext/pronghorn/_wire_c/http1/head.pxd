cimport cython

from ..kernels cimport cut, decimal, find_byte, is_plain_host, method_end, same_name, split_fields, unquote, visible_end
from ..shared cimport Limits

cdef int NO_BODY, LENGTH, CHUNKED
cdef str HTTP_1_0, HTTP_1_1


@cython.final
cdef class Head:
    cdef readonly str method, path, version
    cdef readonly bytes raw_path, query, upgrade
    cdef readonly list headers
    cdef readonly bint keep_alive, expects_continue
    cdef readonly int framing
    cdef readonly Py_ssize_t length


@cython.locals(head=Head)
cpdef Head new_head(str method, str version, list headers)
cpdef Head parse(bytes data, Py_ssize_t start, Py_ssize_t end, Limits limits)
@cython.locals(is_http11=bint, name=bytes, value=bytes, host=bytes, length=bytes, coding=bytes, connection=bytes)
cpdef accept(Head head, bytes data, Py_ssize_t target, Py_ssize_t target_end, Limits limits)
cdef _read_target(Head head, bytes data, Py_ssize_t target, Py_ssize_t target_end, bytes host)
cdef _read_connection(Head head, bytes value)
cdef _read_framing(Head head, bytes length, bytes coding)
cpdef bint is_host(bytes value) except -1
cpdef put_host(list headers, bytes value)
cpdef preamble(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef list members(bytes value)
