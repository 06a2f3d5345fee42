cimport cython

from ..head cimport Head, is_host, members, new_head, put_host, set_asterisk, set_target
from ..kernels cimport decimal, method_end, method_text, same_name, split_fields, visible_end
from ..shared cimport Limits

cdef int LENGTH, CHUNKED
cdef str HTTP_1_0, HTTP_1_1


cpdef Head parse(bytes data, Py_ssize_t start, Py_ssize_t end, Limits limits)
@cython.locals(is_http11=bint, name=bytes, value=bytes, host=bytes, length=bytes, coding=bytes, connection=bytes)
cpdef accept(Head head, bytes data, Py_ssize_t target, Py_ssize_t target_end, Limits limits)
cdef _read_target(Head head, bytes data, Py_ssize_t target, Py_ssize_t target_end, bytes host)
cdef _read_connection(Head head, bytes value)
cdef _read_framing(Head head, bytes length, bytes coding)
cpdef preamble(bytes data, Py_ssize_t start, Py_ssize_t end)
