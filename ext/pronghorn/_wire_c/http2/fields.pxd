cimport cython

from ..head cimport Head, is_host, new_head, set_asterisk, set_target
from ..kernels cimport decimal, method_end, method_text, visible_end
from ..shared cimport Limits

cdef int LENGTH, NO_BODY, UNTIL_END, PROTOCOL_ERROR
cdef str HTTP_2
cdef Py_ssize_t MOST_CRUMBS


@cython.locals(
    head=Head, name=bytes, value=bytes, count=Py_ssize_t, method=bytes, scheme=bytes, authority=bytes, path=bytes,
    protocol=bytes, host=bytes
)
cpdef Head read_head(list fields, bint ends, Limits limits)
@cython.locals(name=bytes)
cpdef check_trailers(list fields)
@cython.locals(name=bytes, value=bytes, host=bytes, size=Py_ssize_t, crumbs=Py_ssize_t, te=bint)
cdef bytes _read_fields(Head head, list fields, Limits limits)
cdef _read_path(Head head, bytes path, Limits limits)
cdef _join_crumbs(list fields)
