cimport cython
from cpython.buffer cimport Py_buffer
from cpython.object cimport PyObject

ctypedef const unsigned char* Bytes

# For the kernels of HTTP/2: token characters in lower case, 0 for any other (RFC 9110 section 5.6.2); checks of fields.
cdef unsigned char[256] LOWER
cdef bint is_field_value(Bytes text, Py_ssize_t size) noexcept
cdef bint take_pair(object pair, PyObject** name, PyObject** value) noexcept

cpdef Py_ssize_t find_byte(bytes data, bytes byte, Py_ssize_t start, Py_ssize_t end) noexcept
cpdef Py_ssize_t find_head_end(bytes data, Py_ssize_t start, Py_ssize_t resume) noexcept
cpdef Py_ssize_t find_bare_cr(bytes data, Py_ssize_t start, Py_ssize_t end) noexcept
cpdef bytes cut(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef bytes glue(bytes line, bytes fields, bytes block, bytes end, bytes body)
cpdef Py_ssize_t method_end(bytes data, Py_ssize_t start, Py_ssize_t end) noexcept
cpdef str method_text(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef int method_index(str method) except -1
cpdef Py_ssize_t visible_end(bytes data, Py_ssize_t start, Py_ssize_t end) noexcept
cpdef list split_fields(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef list stable_fields(headers)
cpdef bytes encode_fields(list fields)
cpdef bint same_name(bytes name, bytes lower) noexcept
cpdef bint is_plain_host(bytes value) noexcept
cpdef bint is_plain_path(str path) noexcept
cpdef long long decimal(bytes value) noexcept
cpdef str unquote(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef unsigned int mask_key(bytes data, Py_ssize_t at) noexcept
cpdef unsigned int rotate(unsigned int key, Py_ssize_t count) noexcept
cpdef bytes unmask(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int key)
cpdef bytes unmask_pieces(list pieces, Py_ssize_t start, Py_ssize_t size, unsigned int key)
cpdef str unmask_text(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int key)
cpdef bytes whole_frame(int first, bytes payload)
cpdef bytes ascii_frame(str text)
cpdef Py_ssize_t send_now(int fd, bytes data) noexcept
cpdef Py_ssize_t send_buffers_now(int fd, list buffers)
cpdef bytes receive_now(int fd, Py_ssize_t size)
cpdef bytes receive_large(int fd, Py_ssize_t size)
cpdef list readable(poll, int limit)
@cython.final
cdef class Cells:
    cdef Py_buffer _buffer
    cdef long long* _cells

    cpdef void add(self, int index, long long amount) noexcept
    cpdef void observe(self, int first, double seconds) noexcept


cpdef double monotonic() noexcept
cpdef object advance(object coroutine)
cpdef void stop_with(object value) noexcept
