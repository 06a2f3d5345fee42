cimport cython

from .forwarded cimport Origin, address, forwarded_node, pack, read_elements, split_node

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
