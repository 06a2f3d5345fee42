cimport cython

from .kernels cimport is_plain_path, monotonic
from .request cimport Request

cdef Py_ssize_t LINES_AT_ONCE
cdef int LITERAL, CLIENT, HOST, USER, TIME_CLF, TIME_ISO, TIME_LOG
cdef int REQUEST_LINE, METHOD, PATH, QUERY, PROTOCOL, SCHEME
cdef int STATUS, STATUS_TEXT, BYTES, BYTES_IF_ANY, SECONDS, MILLISECONDS, DURATION
cdef int REQUEST_FIELD, RESPONSE_FIELD, REQUEST_ID, TRACE_ID, SPAN_ID


cdef class AccessLines:
    cdef object _log, _call_soon
    cdef list _lines
    cdef str _prefix, _before
    cdef dict _ends
    cdef readonly bint at_end

    cpdef log(self, Request request, status)
    @cython.locals(lines=list, target=str, end=str)
    cpdef add(self, str client, dict scope, status, Request request)


cdef class Piece:
    cdef int kind
    cdef str text
    cdef bytes name
    cdef bint safe


cdef class FormattedLines(AccessLines):
    cdef list _pieces
    cdef bint _json
    cdef object _read_trace
    # The second of the last line, formatted.
    cdef long long _second
    cdef str _clf, _iso, _stamp

    @cython.locals(piece=Piece, kind=int)
    cdef str _line(self, str client, dict scope, status, Request request)
    @cython.locals(now=double, second="long long")
    cdef str _client_or_time(self, int kind, str client, Request request)
    @cython.locals(kind=int, passed=double)
    cdef str _response_part(self, Piece piece, status, Request request)


cpdef log_response(AccessLines lines, Request request, int status, owner)
cdef str _request_part(int kind, dict scope)
cdef str _target(dict scope)
cdef str _path(dict scope)
cdef str _field(list fields, bytes name)
cdef str _text(bytes value)
cdef str _user(str credentials)
cdef str _as_text(str text)
cdef str _as_json(str text)
