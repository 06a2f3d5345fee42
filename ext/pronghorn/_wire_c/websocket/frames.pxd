cimport cython

from ..kernels cimport ascii_frame, mask_key, rotate, unmask, unmask_pieces, unmask_text, whole_frame
from .deflate cimport Deflate

cdef int BINARY, CLOSE, CONTINUATION, ENOUGH, NOTHING, PONG, TEXT
cdef int COMPRESSED, FIN, NO_CODE
cdef frozenset CLOSE_CODES
cdef Py_ssize_t SMALL_PART, COPIED, DEFLATED_PART, INFLATED_PART, MOST_INFLATED, SMALL_MESSAGE


cdef class Reader:
    cdef Py_ssize_t _max_size, _max_deflated
    cdef Deflate _deflate
    cdef bytes _buffer
    cdef Py_ssize_t _position
    # The current data frame.
    cdef bint _inside, _final
    cdef Py_ssize_t _remaining
    cdef unsigned int _key
    cdef list _pieces
    cdef Py_ssize_t _pieces_start, _gathered
    # The current message.
    cdef int _opcode
    cdef bint _compressed
    cdef bytes _deflated, _deflated_part
    cdef Py_ssize_t _deflated_from
    cdef Py_ssize_t _size
    cdef list _parts
    cdef bytes _split_character
    # The result of `next`.
    cdef readonly object payload
    cdef readonly int code
    cdef readonly str reason
    # Decompression now.
    cdef Py_ssize_t _allowance
    cdef public bint waits

    cpdef feed(self, bytes data)
    cpdef int next(self) except -2
    cpdef begin_turn(self)
    cpdef Py_ssize_t inflated(self)
    cpdef bint has_begun(self)
    @cython.locals(buffer=bytes, start=Py_ssize_t, size=Py_ssize_t, content=Py_ssize_t, length=Py_ssize_t, first=int)
    cdef int _read_frame(self) except -2
    cdef _check(self, int first, int opcode, Py_ssize_t length)
    cdef int _wait(self)
    cdef bint _read_part(self) except -1
    cdef bint _gather(self) except -1
    cdef _add(self, bytes part)
    @cython.locals(deflated=bytes, content=bytes, most=Py_ssize_t)
    cdef bint _inflate(self) except -1
    @cython.locals(end=Py_ssize_t)
    cdef _next_part(self)
    cdef _keep(self, content)
    cdef str _decode(self, bytes part)
    cdef int _finish(self) except -2
    cdef _read_close(self, bytes payload)


cpdef Py_ssize_t frame(int opcode, bytes payload, list out) except -1
cpdef Py_ssize_t text_frame(str text, list out) except -1
cpdef bytes close_payload(int code, str reason)
cpdef bint is_close_code(int code)
cdef bytes _header(int first, Py_ssize_t size)
