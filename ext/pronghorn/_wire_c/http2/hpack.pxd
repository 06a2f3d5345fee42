cimport cython

from ..kernels cimport cut
from .kernels cimport is_field, unhuffman

cdef int COMPRESSION_ERROR, ENHANCE_YOUR_CALM
cdef Py_ssize_t TABLE_SIZE, ENTRY_OVERHEAD, LONGEST_INTEGER, MOST_EXCESS, MOST_SIZE_UPDATES
cdef list _STATIC
cdef Py_ssize_t _STATIC_COUNT


@cython.final
cdef class Decoder:
    cdef list _entries
    cdef Py_ssize_t _position, _table_limit, _table_size
    cdef readonly tuple malformed
    cdef readonly Py_ssize_t size

    @cython.locals(entry=tuple, size=Py_ssize_t, updates=int, first=int)
    cpdef list decode(self, bytes block, Py_ssize_t limit)
    @cython.locals(position=Py_ssize_t, value=Py_ssize_t, shift=int, octet=int)
    cdef Py_ssize_t _integer(self, bytes block, int mask) except -1
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, is_huffman=bint)
    cdef bytes _string(self, bytes block)
    @cython.locals(index=Py_ssize_t, name=bytes, value=bytes)
    cdef tuple _literal(self, bytes block, int mask)
    @cython.locals(count=Py_ssize_t)
    cdef tuple _entry(self, Py_ssize_t index)
    @cython.locals(size=Py_ssize_t)
    cdef _insert(self, tuple entry)
    cdef _resize(self, Py_ssize_t limit)
    @cython.locals(count=Py_ssize_t, entries=list)
    cdef _evict(self, Py_ssize_t limit)


@cython.locals(name=bytes, value=bytes)
cdef Py_ssize_t _size(tuple entry)
