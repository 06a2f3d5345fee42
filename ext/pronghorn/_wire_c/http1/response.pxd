cimport cython

from ..encoder cimport Encoder, checked_fields, declared_length
from ..kernels cimport encode_fields, glue, same_name, stable_fields
from ..shared cimport Shared

cdef Py_ssize_t COPIED
cdef int NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE
cdef dict STATUS_LINES
cdef bytes CONNECTION_CLOSE, CONNECTION_KEEP_ALIVE, TRANSFER_ENCODING_CHUNKED, CRLF
cdef bytes EARLY_HINTS, LAST_CHUNK, LAST_CHUNK_BEFORE_TRAILERS


cdef class HTTP1Encoder(Encoder):
    cdef Shared _shared
    # A property of the request.
    cdef bint _http11
    cdef public bint keep_alive
    # The head from the application.
    cdef bytes _line, _block
    cdef list _connection_fields
    cdef bint _own_date, _own_server, _own_transfer_encoding
    # The progress of the response.
    cdef bint _head_pending

    @cython.locals(name=bytes, value=bytes)
    cpdef start(self, status, headers, bint has_trailers)
    cpdef bint ends_with_connection(self)
    cdef bytes _frame_head(self, bytes body)


@cython.locals(encoder=HTTP1Encoder)
cpdef HTTP1Encoder new_encoder(Shared shared, str method, bint http11, bint keep_alive)
cdef list _without(list fields, bytes unwanted)
