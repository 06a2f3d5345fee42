cimport cython

from .http1.head cimport Head, is_host, put_host
from .kernels cimport unquote

cdef int CLIENT, EVERYTHING, STANDARD
cdef Py_ssize_t KEPT, LONGEST


@cython.final
cdef class Proxies:
    cdef int _kind
    # The trusted proxies.
    cdef bint _everybody
    cdef set _addresses, _names
    cdef list _networks
    cdef dict _known

    cpdef bint trusts_peer(self, tuple client, tuple server) except -1
    cpdef bint trusts(self, str host) except -1
    @cython.locals(
        name=bytes, value=bytes, chain=bytes, scheme=bytes, host=bytes, port=bytes, prefix=bytes, lines=list, kind=int,
        size=Py_ssize_t, origin=Origin
    )
    cpdef Origin origin(self, list headers)
    cdef bint _has(self, bytes packed) except -1
    cdef tuple _client(self, str chain)
    cdef _read_forwarded(self, Origin origin, list lines)
    cdef bint _is_for_proxy(self, dict element) except -1


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
cdef tuple _forwarded_node(str node)
cdef tuple _split_host(bytes host)
cdef int _port(str text) except -2
