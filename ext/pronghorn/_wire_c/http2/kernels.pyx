# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The compiled form of `pronghorn._wire.http2.kernels`, which documents the contracts."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from ..kernels cimport LOWER, Bytes, is_field_value, take_pair

from pronghorn.hpack_tables import SENSITIVE_FIELDS, STATIC_NAMES, huffman_ends, huffman_transitions
from pronghorn.http2_constants import PSEUDO_FIELDS

cdef enum:
    END_STREAM = 1
    END_HEADERS = 4
    DATA = 0
    HEADERS = 1
    # An integer takes six bytes at most here: its first one, and five with seven bits each.
    LONGEST_INTEGER = 6
    NAME_SLOTS = 256

# The transitions of the Huffman decoder, by state and four bits.
cdef short[4096] NEXT_STATE
cdef short[4096] SYMBOL
cdef bint[256] ENDS

# A static name, its index and whether its value is sensitive, by a hash of the name with linear probing.
cdef list NAMES = [None] * NAME_SLOTS
cdef unsigned char[NAME_SLOTS] NAME_INDEX
cdef unsigned char[NAME_SLOTS] NAME_FLAGS


cdef inline int name_slot(Bytes name, Py_ssize_t size) noexcept:
    return <int>((size * 37 + name[0] * 5 + name[size - 1] * 3 + name[size // 2]) & (NAME_SLOTS - 1))


cdef void fill_tables():
    cdef int code, slot
    cdef bytes name
    for code, (state, symbol) in enumerate(huffman_transitions()):
        NEXT_STATE[code] = state
        SYMBOL[code] = symbol
    for code, ends in enumerate(huffman_ends()):
        ENDS[code] = ends
    for name in {*STATIC_NAMES, *SENSITIVE_FIELDS}:
        slot = name_slot(<Bytes>PyBytes_AS_STRING(name), len(name))
        while NAMES[slot] is not None:
            slot = (slot + 1) & (NAME_SLOTS - 1)
        NAMES[slot] = name
        NAME_INDEX[slot] = STATIC_NAMES.get(name, 0)
        NAME_FLAGS[slot] = 0x10 if name in SENSITIVE_FIELDS else 0


fill_tables()


cdef inline int find_name(Bytes name, Py_ssize_t size) noexcept:
    """The slot of a name in lower case, or -1."""
    cdef int slot = name_slot(name, size)
    cdef PyObject* known
    while True:
        known = <PyObject*>PyList_GET_ITEM(NAMES, slot)
        if <object>known is None:
            return -1
        if PyBytes_GET_SIZE(<object>known) == size and memcmp(PyBytes_AS_STRING(<object>known), name, size) == 0:
            return slot
        slot = (slot + 1) & (NAME_SLOTS - 1)


cpdef bytes unhuffman(bytes data, Py_ssize_t start, Py_ssize_t end):
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    # The shortest code has five bits.
    cdef Py_ssize_t most = (end - start) * 8 // 5
    cdef unsigned char[512] short_result
    cdef unsigned char* result = short_result
    cdef Py_ssize_t size = 0, index
    cdef int state = 0, transition, half
    if most > 512:
        result = <unsigned char*>malloc(most)
        if result is NULL:
            raise MemoryError
    try:
        for index in range(start, end):
            for half in range(2):
                transition = 16 * state + (text[index] & 15 if half else text[index] >> 4)
                state = NEXT_STATE[transition]
                if state < 0:
                    return None
                if SYMBOL[transition] >= 0:
                    result[size] = <unsigned char>SYMBOL[transition]
                    size += 1
        if not ENDS[state]:
            return None
        return PyBytes_FromStringAndSize(<const char*>result, size)
    finally:
        if result is not short_result:
            free(result)


cpdef bint is_field(bytes name, bytes value) noexcept:
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), index
    if size and (text[0] == 32 or text[0] == 9 or text[size - 1] == 32 or text[size - 1] == 9):
        return False
    if not is_field_value(text, size):
        return False
    text = <Bytes>PyBytes_AS_STRING(name)
    size = PyBytes_GET_SIZE(name)
    if size == 0:
        return False
    if text[0] == 58:
        return name in PSEUDO_FIELDS
    for index in range(size):
        if LOWER[text[index]] != text[index] or text[index] == 0:
            return False
    return True


cdef inline unsigned char* put_integer(unsigned char* target, Py_ssize_t value, int most, int flags) noexcept:
    if value < most:
        target[0] = <unsigned char>(flags | value)
        return target + 1
    target[0] = <unsigned char>(flags | most)
    target += 1
    value -= most
    while value > 127:
        target[0] = <unsigned char>(value & 127 | 128)
        target += 1
        value >>= 7
    target[0] = <unsigned char>value
    return target + 1


cpdef bytes encode_literals(list fields):
    cdef PyObject* name
    cdef PyObject* value
    cdef Py_ssize_t most = 0, length, index
    cdef Bytes text
    cdef unsigned char[1024] short_result
    cdef unsigned char* result = short_result
    cdef unsigned char* target
    cdef unsigned char* lower
    cdef unsigned char character
    cdef int slot
    for pair in fields:
        if not take_pair(pair, &name, &value):
            return None
        if PyBytes_GET_SIZE(<object>name) > 0x7FFFFFFF or PyBytes_GET_SIZE(<object>value) > 0x7FFFFFFF:
            return None
        most += PyBytes_GET_SIZE(<object>name) + PyBytes_GET_SIZE(<object>value) + 3 * LONGEST_INTEGER
    if most > 1024:
        result = <unsigned char*>malloc(most)
        if result is NULL:
            raise MemoryError
    try:
        target = result
        for pair in fields:
            take_pair(pair, &name, &value)
            length = PyBytes_GET_SIZE(<object>name)
            text = <Bytes>PyBytes_AS_STRING(<object>name)
            if length == 0:
                return None
            # The name is first written behind the place of its prefix.
            lower = target + 1 + LONGEST_INTEGER
            for index in range(length):
                character = LOWER[text[index]]
                if character == 0:
                    return None
                lower[index] = character
            slot = find_name(lower, length)
            if slot >= 0 and NAME_INDEX[slot]:
                target = put_integer(target, NAME_INDEX[slot], 15, NAME_FLAGS[slot])
            else:
                target[0] = NAME_FLAGS[slot] if slot >= 0 else 0
                target = put_integer(target + 1, length, 127, 0)
                for index in range(length):
                    target[index] = lower[index]
                target += length
            length = PyBytes_GET_SIZE(<object>value)
            text = <Bytes>PyBytes_AS_STRING(<object>value)
            if not is_field_value(text, length):
                return None
            while length and (text[length - 1] == 32 or text[length - 1] == 9):
                length -= 1
            while length and (text[0] == 32 or text[0] == 9):
                text += 1
                length -= 1
            target = put_integer(target, length, 127, 0)
            memcpy(target, text, length)
            target += length
        return PyBytes_FromStringAndSize(<const char*>result, target - result)
    finally:
        if result is not short_result:
            free(result)


cdef inline unsigned char* put_frame_header(
    unsigned char* target, Py_ssize_t size, int kind, int flags, unsigned int stream
) noexcept:
    target[0] = <unsigned char>(size >> 16)
    target[1] = <unsigned char>(size >> 8)
    target[2] = <unsigned char>size
    target[3] = <unsigned char>kind
    target[4] = <unsigned char>flags
    target[5] = <unsigned char>(stream >> 24)
    target[6] = <unsigned char>(stream >> 16)
    target[7] = <unsigned char>(stream >> 8)
    target[8] = <unsigned char>stream
    return target + 9


cdef inline unsigned char* put(unsigned char* target, bytes part) noexcept:
    memcpy(target, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
    return target + PyBytes_GET_SIZE(part)


cpdef bytes frame_header(Py_ssize_t size, int kind, int flags, unsigned int stream):
    cdef bytes header = PyBytes_FromStringAndSize(NULL, 9)
    put_frame_header(<unsigned char*>PyBytes_AS_STRING(header), size, kind, flags, stream)
    return header


cpdef bytes word_frame(int kind, unsigned int stream, unsigned int word):
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, 13)
    cdef unsigned char* target = put_frame_header(<unsigned char*>PyBytes_AS_STRING(frame), 4, kind, 0, stream)
    target[0] = <unsigned char>(word >> 24)
    target[1] = <unsigned char>(word >> 16)
    target[2] = <unsigned char>(word >> 8)
    target[3] = <unsigned char>word
    return frame


cpdef bytes frame_response(unsigned int stream, bytes status, bytes defaults, bytes block, bytes data, bint ends):
    cdef Py_ssize_t head = PyBytes_GET_SIZE(status) + PyBytes_GET_SIZE(defaults) + PyBytes_GET_SIZE(block)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef int end = END_STREAM if ends else 0
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, 9 + head + (9 + size if size else 0))
    cdef unsigned char* target = <unsigned char*>PyBytes_AS_STRING(whole)
    target = put_frame_header(target, head, HEADERS, END_HEADERS if size else END_HEADERS | end, stream)
    target = put(put(put(target, status), defaults), block)
    if size:
        put(put_frame_header(target, size, DATA, end, stream), data)
    return whole
