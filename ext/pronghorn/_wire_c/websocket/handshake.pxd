from ..head cimport Head, members
from ..shared cimport Shared
from .deflate cimport Deflate


cdef class Handshake:
    cdef readonly bytes key
    cdef readonly list subprotocols
    cdef readonly Deflate deflate

    cpdef list answer(self, subprotocol, headers)


cpdef bint is_websocket_upgrade(Head head)
cpdef Handshake read(Head head, zlib)
cpdef Handshake read_extended(Head head, zlib)
cpdef bytes switch(Shared shared, bytes key, list fields)
