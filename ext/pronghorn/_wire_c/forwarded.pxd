cimport cython

from .head cimport Head, is_host, put_host
from .kernels cimport unquote


@cython.final
cdef class Origin:
    cdef readonly tuple client
    cdef readonly str scheme
    cdef readonly bytes host, prefix
    cdef readonly int port

    cdef set_host(self, bytes host, bytes port)
    cdef set_prefix(self, bytes prefix)
    cdef set_element(self, dict element)
    cpdef dict scope(self, Head head, dict scope)
    cdef _put_host(self, Head head, dict scope)


cpdef bytes pack(str host)
cpdef tuple split_node(str node)
cpdef tuple address(str node)
cpdef list read_elements(bytes line)
cpdef tuple forwarded_node(str node)
cdef tuple _split_host(bytes host)
cdef int _port(str text) except -2
