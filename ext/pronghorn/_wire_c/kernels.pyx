# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The compiled form of `pronghorn._wire.kernels`, which documents the contracts.

Every loop is bounded by `end` or by the CRLF that the caller found before it, or stops at the NUL that ends `bytes`,
which no table accepts.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.time cimport monotonic as read_monotonic
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from pronghorn.constants import COMMON_FIELD_NAMES, COMMON_METHODS, RETURNED
from pronghorn.metrics.layout import BOUNDS

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(str text)
    unsigned char* PyUnicode_1BYTE_DATA(str text)
    Py_ssize_t PyUnicode_GET_LENGTH(str text)
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)
    ctypedef struct PyStopIterationObject:
        PyObject* value
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* text, Py_ssize_t size) except NULL
    int resize_bytes "_PyBytes_Resize"(PyObject** each, Py_ssize_t size) except -1
    void PyErr_SetObject(object kind, object value)
    void PyErr_Restore(PyObject* kind, PyObject* value, PyObject* traceback)
    Py_ssize_t Py_REFCNT(object each)
    void Py_INCREF(object each)
    void Py_DECREF(object each)
    void Py_XDECREF(PyObject* each)
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    PySendResult PyIter_Send(object iterator, object value, PyObject** result) except PYGEN_ERROR

cdef extern from *:
    """
    /* Without the GIL, threads with an event loop each run at the same time. With it, none of this costs anything. */
    #ifndef Py_GIL_DISABLED
    #define FREE_THREADED 0
    #define PER_THREAD
    #else
    #define FREE_THREADED 1
    #ifdef _MSC_VER
    #define PER_THREAD __declspec(thread)
    #else
    #define PER_THREAD _Thread_local
    #endif
    #endif
    #define RECEIVE_SIZE 262144
    static PER_THREAD char received[RECEIVE_SIZE];
    """
    bint FREE_THREADED
    Py_ssize_t RECEIVE_SIZE
    char* RECEIVED "received"

# The value of a hexadecimal digit, or 255 for any other character.
cdef unsigned char[256] HEX

# The object for each common method, of ASCII.
cdef tuple METHODS = COMMON_METHODS
cdef int METHOD_COUNT = len(COMMON_METHODS)

# One object for each common name. Its slot depends on its length, first, middle and last character.
cdef list NAMES = [None] * 512
cdef enum:
    LONGEST_NAME = 64


cdef inline Py_ssize_t name_slot(Bytes name, Py_ssize_t size) noexcept:
    return (size * 37 + name[0] * 5 + name[size - 1] * 3 + name[size // 2]) & 511


cdef void fill_tables():
    cdef int code
    for code in range(256):
        LOWER[code] = 0
        HEX[code] = 255
    for code in b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz":
        LOWER[code] = <unsigned char>code
    for code in range(b"A"[0], b"Z"[0] + 1):
        LOWER[code] = <unsigned char>(code + 32)
    for code in range(10):
        HEX[48 + code] = <unsigned char>code
    for code in range(6):
        HEX[65 + code] = HEX[97 + code] = <unsigned char>(10 + code)
    cdef bytes name
    for name in COMMON_FIELD_NAMES:
        NAMES[name_slot(<Bytes>PyBytes_AS_STRING(name), len(name))] = name


fill_tables()


cpdef Py_ssize_t find_byte(bytes data, bytes byte, Py_ssize_t start, Py_ssize_t end) noexcept:
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    cdef const void* found = memchr(text + start, <unsigned char>PyBytes_AS_STRING(byte)[0], end - start)
    return <Bytes>found - text if found is not NULL else -1


cpdef Py_ssize_t find_head_end(bytes data, Py_ssize_t start, Py_ssize_t resume) noexcept:
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = resume
    cdef Bytes found
    while at < size:
        found = <Bytes>memchr(text + at, 10, size - at)
        if found is NULL:
            return -1
        at = found - text
        if at == start or text[at - 1] != 13:
            return -2
        if at - start >= 3 and text[at - 2] == 10 and text[at - 3] == 13:
            return at + 1
        at += 1
    return -1


cpdef Py_ssize_t find_bare_cr(bytes data, Py_ssize_t start, Py_ssize_t end) noexcept:
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    cdef Bytes found
    # No byte follows the last one.
    while start < end - 1:
        found = <Bytes>memchr(text + start, 13, end - 1 - start)
        if found is NULL:
            return -1
        if found[1] != 10:
            return found - text
        start = found - text + 2
    return -1


cpdef bytes cut(bytes data, Py_ssize_t start, Py_ssize_t end):
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, end - start)


cdef inline char* put(char* target, bytes part) noexcept:
    memcpy(target, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
    return target + PyBytes_GET_SIZE(part)


cpdef bytes glue(bytes line, bytes fields, bytes block, bytes end, bytes body):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(line) + PyBytes_GET_SIZE(fields) + PyBytes_GET_SIZE(block)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, size + PyBytes_GET_SIZE(end) + PyBytes_GET_SIZE(body))
    put(put(put(put(put(PyBytes_AS_STRING(whole), line), fields), block), end), body)
    return whole


cpdef Py_ssize_t method_end(bytes data, Py_ssize_t start, Py_ssize_t end) noexcept:
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    while start < end and LOWER[text[start]] and not 97 <= text[start] <= 122:
        start += 1
    return start


cpdef str method_text(bytes data, Py_ssize_t start, Py_ssize_t end):
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data) + start
    cdef Py_ssize_t size = end - start
    cdef str name
    for name in METHODS:
        if PyUnicode_GET_LENGTH(name) == size and memcmp(PyUnicode_1BYTE_DATA(name), text, size) == 0:
            return name
    return PyUnicode_DecodeASCII(<const char*>text, size, NULL)


cpdef int method_index(str method) except -1:
    cdef int index
    for index in range(METHOD_COUNT):
        if PyTuple_GET_ITEM(METHODS, index) == <PyObject*>method:  # from `method_text`
            return index
    return METHODS.index(method) if method in METHODS else METHOD_COUNT


cpdef Py_ssize_t visible_end(bytes data, Py_ssize_t start, Py_ssize_t end) noexcept:
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    while start < end and 33 <= text[start] <= 126:
        start += 1
    return start


cdef bint is_field_value(Bytes text, Py_ssize_t size) noexcept:
    # Without a branch in the loop, the C compiler checks sixteen characters at a time.
    cdef Py_ssize_t index
    cdef unsigned char bad = 0
    for index in range(size):
        bad |= ((text[index] < 32) & (text[index] != 9)) | (text[index] == 127)
    return bad == 0


cdef bytes lower_name(Bytes text, Py_ssize_t size, Bytes lower):
    """The name `text` in lower case. `lower` holds that form if the name has at most LONGEST_NAME characters."""
    cdef object known
    cdef bytes name
    cdef unsigned char* target
    cdef Py_ssize_t index
    if size <= LONGEST_NAME:
        known = NAMES[name_slot(lower, size)]
        if known is not None and PyBytes_GET_SIZE(known) == size and memcmp(PyBytes_AS_STRING(known), lower, size) == 0:
            return <bytes>known
        return PyBytes_FromStringAndSize(<const char*>lower, size)
    name = PyBytes_FromStringAndSize(NULL, size)
    target = <unsigned char*>PyBytes_AS_STRING(name)
    for index in range(size):
        target[index] = LOWER[text[index]]
    return name


cpdef list split_fields(bytes data, Py_ssize_t start, Py_ssize_t end):
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    cdef unsigned char[LONGEST_NAME] lower
    cdef list fields = []
    cdef Py_ssize_t at = start, name, value, size
    cdef unsigned char character
    cdef Bytes stop
    cdef bytes content
    while at < end:
        name = at
        while True:
            character = LOWER[text[at]]
            if character == 0:
                break
            if at - name < LONGEST_NAME:
                lower[at - name] = character
            at += 1
        size = at - name
        if size == 0 or text[at] != 58:
            return None
        at += 1
        while text[at] == 32 or text[at] == 9:
            at += 1
        value = at
        stop = <Bytes>memchr(text + at, 13, end - at)
        if stop is NULL or stop[1] != 10:
            return None
        at = stop - text
        if not is_field_value(text + value, at - value):
            return None
        while at > value and (text[at - 1] == 32 or text[at - 1] == 9):
            at -= 1
        content = <bytes>PyBytes_FromStringAndSize(<const char*>text + value, at - value)
        fields.append((lower_name(text + name, size, lower), content))
        at = stop - text + 2
    return fields


cpdef list stable_fields(headers):
    if FREE_THREADED:
        return [tuple(pair) if type(pair) is list else pair for pair in list(headers)]
    # No other thread runs before the caller has read the list.
    return <list>headers if type(headers) is list else list(headers)


cdef bint take_pair(object pair, PyObject** name, PyObject** value) noexcept:
    """Borrow the two bytes objects of a pair. Return false if it is not a pair of bytes objects.

    The pair is one of `stable_fields`, or of our own: nothing changes it while they are in use.
    """
    if type(pair) is tuple:
        if PyTuple_GET_SIZE(pair) != 2:
            return False
        name[0] = <PyObject*>PyTuple_GET_ITEM(pair, 0)
        value[0] = <PyObject*>PyTuple_GET_ITEM(pair, 1)
    elif type(pair) is list:
        if PyList_GET_SIZE(pair) != 2:
            return False
        name[0] = <PyObject*>PyList_GET_ITEM(pair, 0)
        value[0] = <PyObject*>PyList_GET_ITEM(pair, 1)
    else:
        return False
    return PyBytes_CheckExact(<object>name[0]) and PyBytes_CheckExact(<object>value[0])


cpdef bytes encode_fields(list fields):
    cdef PyObject* name
    cdef PyObject* value
    cdef Py_ssize_t size = 0, length, index
    cdef Bytes text
    cdef bytes block
    cdef unsigned char* target
    cdef unsigned char character
    for pair in fields:
        if not take_pair(pair, &name, &value):
            return None
        size += PyBytes_GET_SIZE(<object>name) + PyBytes_GET_SIZE(<object>value) + 4
    block = PyBytes_FromStringAndSize(NULL, size)
    target = <unsigned char*>PyBytes_AS_STRING(block)
    for pair in fields:
        take_pair(pair, &name, &value)
        length = PyBytes_GET_SIZE(<object>name)
        text = <Bytes>PyBytes_AS_STRING(<object>name)
        if length == 0:
            return None
        for index in range(length):
            character = LOWER[text[index]]
            if character == 0:
                return None
            target[index] = character
        target[length] = 58
        target[length + 1] = 32
        target += length + 2
        length = PyBytes_GET_SIZE(<object>value)
        text = <Bytes>PyBytes_AS_STRING(<object>value)
        if not is_field_value(text, length):
            return None
        memcpy(target, text, length)
        target[length] = 13
        target[length + 1] = 10
        target += length + 2
    return block


cpdef bint same_name(bytes name, bytes lower) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name), index
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(name)
    cdef Bytes other = <Bytes>PyBytes_AS_STRING(lower)
    if size != PyBytes_GET_SIZE(lower):
        return False
    for index in range(size):
        if LOWER[text[index]] != other[index]:
            return False
    return True


cpdef bint is_plain_host(bytes value) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), at = 0
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(value)
    while text[at] == 45 or text[at] == 46 or 48 <= text[at] <= 57 or 97 <= (text[at] | 32) <= 122:
        at += 1
    if at == 0:
        return False
    if text[at] == 58:
        at += 1
        while 48 <= text[at] <= 57:
            at += 1
    return at == size


cpdef bint is_plain_path(str path) noexcept:
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(path), index
    cdef Bytes text
    cdef unsigned char character
    if not PyUnicode_IS_ASCII(path):
        return False
    text = <Bytes>PyUnicode_1BYTE_DATA(path)
    for index in range(size):
        character = text[index]
        if not (97 <= (character | 32) <= 122 or 45 <= character <= 57 or character == 95 or character == 126):
            return False
    return True


cpdef long long decimal(bytes value) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), index
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(value)
    cdef long long number = 0
    if size < 1 or size > 18:
        return -1
    for index in range(size):
        if text[index] < 48 or text[index] > 57:
            return -1
        number = number * 10 + (text[index] - 48)
    return number


cpdef str unquote(bytes data, Py_ssize_t start, Py_ssize_t end):
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = end - start, at = start, length = 0
    cdef char* target
    cdef unsigned char high, low
    if memchr(text + start, 37, size) is NULL:
        return PyUnicode_DecodeASCII(<char*>text + start, size, NULL)
    target = <char*>malloc(size)
    if target is NULL:
        raise MemoryError
    while at < end:
        if text[at] == 37 and at + 2 < end:
            high = HEX[text[at + 1]]
            low = HEX[text[at + 2]]
            if high != 255 and low != 255:
                target[length] = <char>(high << 4 | low)
                length += 1
                at += 3
                continue
        target[length] = <char>text[at]
        length += 1
        at += 1
    try:
        return PyUnicode_DecodeUTF8(target, length, "replace")
    finally:
        free(target)


cpdef unsigned int mask_key(bytes data, Py_ssize_t at) noexcept:
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(data) + at
    return text[0] | text[1] << 8 | text[2] << 16 | <unsigned int>text[3] << 24


cpdef unsigned int rotate(unsigned int key, Py_ssize_t count) noexcept:
    cdef int shift = (count & 3) * 8
    return key >> shift | key << (32 - shift) if shift else key


cdef bint copy_unmasked(char* target, Bytes source, Py_ssize_t size, unsigned int key) noexcept:
    """Unmask `source` into `target`; return whether the result is ASCII."""
    # The key in the order of its bytes on the wire: words can be combined regardless of the machine's byte order.
    cdef char[8] pattern = [key & 255, key >> 8 & 255, key >> 16 & 255, key >> 24, 0, 0, 0, 0]
    cdef uint64_t mask, word, seen = 0
    cdef Py_ssize_t index, whole = size & ~<Py_ssize_t>7
    memcpy(pattern + 4, pattern, 4)
    memcpy(&mask, pattern, 8)
    for index in range(0, whole, 8):
        memcpy(&word, source + index, 8)
        word ^= mask
        seen |= word
        memcpy(target + index, &word, 8)
    for index in range(whole, size):
        target[index] = <char>(source[index] ^ pattern[index & 7])
        seen |= <unsigned char>target[index]
    return seen & <uint64_t>0x8080808080808080 == 0


cpdef bytes unmask(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int key):
    cdef bytes content = PyBytes_FromStringAndSize(NULL, end - start)
    if end > start:
        copy_unmasked(PyBytes_AS_STRING(content), <Bytes>PyBytes_AS_STRING(data) + start, end - start, key)
    return content


cpdef bytes unmask_pieces(list pieces, Py_ssize_t start, Py_ssize_t size, unsigned int key):
    cdef bytes content = PyBytes_FromStringAndSize(NULL, size)
    cdef char* target = PyBytes_AS_STRING(content)
    cdef bytes piece
    cdef Py_ssize_t count
    for piece in pieces:
        count = min(PyBytes_GET_SIZE(piece) - start, size)
        copy_unmasked(target, <Bytes>PyBytes_AS_STRING(piece) + start, count, key)
        key = rotate(key, count)
        target += count
        size -= count
        start = 0
    return content


cpdef str unmask_text(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int key):
    cdef str text
    cdef char* content
    if end == start:
        return ""
    # Unmask directly into a new text, which is the result if it is ASCII. Otherwise decode its bytes.
    text = PyUnicode_New(end - start, 127)
    content = <char*>PyUnicode_1BYTE_DATA(text)
    if copy_unmasked(content, <Bytes>PyBytes_AS_STRING(data) + start, end - start, key):
        return text
    return PyUnicode_DecodeUTF8(content, end - start, NULL)


cdef bytes frame_of(int first, const void* payload, Py_ssize_t size):
    cdef Py_ssize_t header = 2 if size < 126 else 4
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, header + size)
    cdef char* target = PyBytes_AS_STRING(whole)
    target[0] = <char>first
    if header == 2:
        target[1] = <char>size
    else:
        target[1] = 126
        target[2] = <char>(size >> 8)
        target[3] = <char>(size & 255)
    memcpy(target + header, payload, size)
    return whole


cpdef bytes whole_frame(int first, bytes payload):
    return frame_of(first, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))


cpdef bytes ascii_frame(str text):
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    if size > 65535 or not PyUnicode_IS_ASCII(text):
        return None
    return frame_of(0x81, PyUnicode_1BYTE_DATA(text), size)


cdef extern from *:
    """
    #ifdef _WIN32
    static Py_ssize_t send_at_once(int fd, const char *data, Py_ssize_t size) { return -1; }
    struct iovec { void *iov_base; size_t iov_len; };
    static Py_ssize_t send_all_at_once(int fd, struct iovec *buffers, int count) { return -1; }
    static Py_ssize_t receive_at_once(int fd, char *data, Py_ssize_t size) { return 0; }
    #else
    #include <errno.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    static Py_ssize_t send_at_once(int fd, const char *data, Py_ssize_t size)
    {
        return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    static Py_ssize_t send_all_at_once(int fd, struct iovec *buffers, int count)
    {
        struct msghdr message = {0};
        message.msg_iov = buffers;
        message.msg_iovlen = count;
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    /* -1 if there is nothing to read, -2 after an error. */
    static Py_ssize_t receive_at_once(int fd, char *data, Py_ssize_t size)
    {
        Py_ssize_t count = recv(fd, data, size, MSG_DONTWAIT);
        if (count >= 0) {
            return count;
        }
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : -2;
    }
    #endif
    """
    struct iovec:
        void* iov_base
        size_t iov_len
    Py_ssize_t send_at_once(int fd, const char* data, Py_ssize_t size) noexcept
    Py_ssize_t send_all_at_once(int fd, iovec* buffers, int count) noexcept
    Py_ssize_t receive_at_once(int fd, char* data, Py_ssize_t size) noexcept


cpdef Py_ssize_t send_now(int fd, bytes data) noexcept:
    return send_at_once(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cpdef Py_ssize_t send_buffers_now(int fd, list buffers):
    cdef iovec vector[64]
    cdef int count = <int>PyList_GET_SIZE(buffers)
    cdef int index
    if count > 64:
        count = 64
    for index in range(count):
        # The list keeps the memory alive. It does not change: it is that of `bytes`, or of views of them.
        pointed_at(<object>PyList_GET_ITEM(buffers, index), &vector[index])
    return send_all_at_once(fd, vector, count)


cdef int pointed_at(object buffer, iovec* place) except -1:
    cdef Py_buffer view
    if PyBytes_CheckExact(buffer):
        place.iov_base = PyBytes_AS_STRING(buffer)
        place.iov_len = PyBytes_GET_SIZE(buffer)
        return 0
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    place.iov_base = view.buf
    place.iov_len = view.len
    PyBuffer_Release(&view)
    return 0


cpdef bytes receive_now(int fd, Py_ssize_t size):
    cdef Py_ssize_t count = receive_at_once(fd, RECEIVED, min(size, RECEIVE_SIZE))
    if count == -2:
        PyErr_SetFromErrno(OSError)
    return None if count < 0 else PyBytes_FromStringAndSize(RECEIVED, count)


cpdef bytes receive_large(int fd, Py_ssize_t size):
    cdef PyObject* data
    cdef Py_ssize_t count
    size = min(size, RECEIVE_SIZE)
    data = new_bytes(NULL, size)
    count = receive_at_once(fd, PyBytes_AS_STRING(<object>data), size)
    if count < 0:
        try:
            if count == -2:
                PyErr_SetFromErrno(OSError)
        finally:
            Py_XDECREF(data)  # after errno is read, which it may change
        return None
    resize_bytes(&data, count)
    received = <bytes>data
    Py_DECREF(received)
    return received


cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/epoll.h>
    #define HAS_EPOLL 1
    #else
    #define HAS_EPOLL 0
    #define EPOLLIN 1
    struct epoll_event { int events; union { int fd; } data; };
    static int epoll_wait(int poll, struct epoll_event *events, int limit, int timeout) { return 0; }
    #endif
    """
    bint HAS_EPOLL
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        epoll_data_t data
    int epoll_wait(int poll, epoll_event* events, int limit, int timeout) noexcept


cpdef list readable(poll, int limit):
    cdef epoll_event events[256]
    cdef int count, index
    if not HAS_EPOLL:
        return [fd for fd, _ in poll.poll(0, limit)]
    count = epoll_wait(poll.fileno(), events, min(limit, 256), 0)
    return [events[index].data.fd for index in range(count)]


cdef class Cells:
    def __cinit__(self, memory):
        PyObject_GetBuffer(memory, &self._buffer, PyBUF_WRITABLE)
        self._cells = <long long*>self._buffer.buf

    def __dealloc__(self):
        PyBuffer_Release(&self._buffer)

    cpdef void add(self, int index, long long amount) noexcept:
        self._cells[index] += amount

    cpdef void observe(self, int first, double seconds) noexcept:
        cdef long long nanoseconds = <long long>(seconds * 1e9)
        cdef int bucket = 0
        while bucket < BUCKETS and nanoseconds > BUCKET_BOUNDS[bucket]:
            bucket += 1
        self._cells[first + bucket] += 1
        self._cells[first + BUCKETS + 1] += nanoseconds


cdef enum:
    BUCKETS = 13

cdef long long[BUCKETS] BUCKET_BOUNDS
BUCKET_BOUNDS[:] = BOUNDS


cdef extern from *:
    """
    /* The clock of PyTime_Monotonic, without its conversions; elsewhere, where it may be another one, -1. */
    #ifdef __linux__
    #include <time.h>
    static double read_clock(void) {
        struct timespec now;
        return clock_gettime(CLOCK_MONOTONIC, &now) == 0 ? now.tv_sec + now.tv_nsec * 1e-9 : -1;
    }
    #else
    static double read_clock(void) { return -1; }
    #endif
    """
    double read_clock() noexcept


cpdef double monotonic() noexcept:
    cdef double now = read_clock()
    return read_monotonic() if now < 0 else now


cdef object ENDED = RETURNED


cpdef object advance(object coroutine):
    cdef PyObject* yielded = NULL
    cdef PySendResult step = PyIter_Send(coroutine, None, &yielded)
    result = <object>yielded
    Py_DECREF(result)
    if step == PYGEN_NEXT:
        return result
    if result is None:
        return ENDED
    raise StopIteration(result)


# The exception that `stop_with` raises again and again, unless other code has kept it: a new one costs as much as the
# rest of the call. Without the GIL, each call has a new one: a thread cannot know that no other thread has this one.
cdef object STOP = StopIteration()


cpdef void stop_with(object value) noexcept:
    global STOP
    cdef PyStopIterationObject* stop
    if FREE_THREADED:
        PyErr_SetObject(StopIteration, StopIteration(value))
        return
    if Py_REFCNT(STOP) > 1:
        STOP = StopIteration()
    stop = <PyStopIterationObject*>STOP
    Py_INCREF(value)
    Py_XDECREF(stop.value)
    stop.value = <PyObject*>value
    Py_INCREF(StopIteration)
    Py_INCREF(STOP)
    PyErr_Restore(<PyObject*>StopIteration, <PyObject*>STOP, NULL)
