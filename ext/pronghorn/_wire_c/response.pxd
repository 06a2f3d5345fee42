cimport cython

from .scan cimport decimal, encode_fields, glue, same_name
from .shared cimport Shared

cdef Py_ssize_t COPIED
cdef tuple BYTES
cdef int NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE
cdef dict STATUS_LINES
cdef bytes CONNECTION_CLOSE, CONNECTION_KEEP_ALIVE, TRANSFER_ENCODING_CHUNKED, CRLF
cdef bytes EARLY_HINTS, LAST_CHUNK, LAST_CHUNK_BEFORE_TRAILERS


cdef class Encoder:
    cdef Shared _shared
    # What the request allows.
    cdef bint _http11, _has_body
    cdef public bint keep_alive
    # What the application gave.
    cdef readonly int status
    cdef bytes _line, _block
    cdef list _connection_fields
    cdef bint _own_date, _own_server, _own_transfer_encoding, _with_trailers
    # Where the response stands.
    cdef int _framing
    cdef Py_ssize_t _remaining
    cdef readonly Py_ssize_t body_size
    cdef bint _head_pending

    @cython.locals(name=bytes, value=bytes)
    cpdef start(self, status, headers, bint trailers)
    cpdef Py_ssize_t head(self, list out) except -1
    cpdef Py_ssize_t body(self, bytes data, bint more, list out) except -1
    cpdef Py_ssize_t trailers(self, headers, list out) except -1
    cpdef Py_ssize_t early_hints(self, links, list out) except -1
    cpdef Py_ssize_t left(self)
    cpdef bint file(self, Py_ssize_t size, list out) except -1
    cpdef file_sent(self, Py_ssize_t size)
    cpdef file_end(self, list out)
    cpdef bytes field(self, bytes name)
    cpdef bint head_is_pending(self)
    cpdef bint ends_with_connection(self)
    cdef bytes _frame_head(self, bytes body)
    cdef _decide_framing(self, Py_ssize_t length)


cpdef list checked_fields(headers)
cdef list _without(list fields, bytes unwanted)
