cimport cython

from ..encoder cimport Encoder, checked_fields, declared_length
from ..kernels cimport same_name, stable_fields
from ..shared cimport Shared
from .kernels cimport encode_literals
from .stream cimport Stream

cdef int UNTIL_END
cdef dict STATUS_FIELDS, STATUS_LINES


cdef class HTTP2Encoder(Encoder):
    cdef Shared _shared
    cdef Stream _stream
    # The head from the application.
    cdef list _fields
    cdef bytes _block
    cdef bint _own_date, _own_server
    # A property of the request, and the progress of the response.
    cdef bint _accepts_trailers, _head_pending

    @cython.locals(name=bytes, value=bytes, length=Py_ssize_t, size=Py_ssize_t, unwanted=bint)
    cpdef start(self, status, headers, bint has_trailers)
    @cython.locals(defaults=bytes)
    cdef _send_head(self, bytes data, bint ends)


@cython.locals(encoder=HTTP2Encoder)
cpdef HTTP2Encoder new_encoder(Shared shared, Stream stream, str method, bint accepts_trailers)
cdef list _allowed(list fields, Py_ssize_t length)
