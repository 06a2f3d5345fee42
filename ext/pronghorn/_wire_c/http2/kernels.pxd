cpdef bytes unhuffman(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef bint is_field(bytes name, bytes value) noexcept
cpdef bytes encode_literals(list fields)
cpdef bytes frame_header(Py_ssize_t size, int kind, int flags, unsigned int stream)
cpdef bytes word_frame(int kind, unsigned int stream, unsigned int word)
cpdef bytes frame_response(unsigned int stream, bytes status, bytes defaults, bytes block, bytes data, bint ends)
