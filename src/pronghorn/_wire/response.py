"""Response framing for HTTP/1.1: what an application says in, bytes out (RFC 9112 sections 6 and 7).

Every method appends finished pieces to `out`, a list of bytes that the connection joins and writes, and raises
`ValueError` or `TypeError` on what must not go on the wire. An encoder serves one response.
"""

from .rules import (
    CHUNKED,
    CONNECTION_CLOSE,
    CONNECTION_KEEP_ALIVE,
    CRLF,
    EARLY_HINTS,
    FORBIDDEN_TRAILERS,
    LAST_CHUNK,
    LAST_CHUNK_BEFORE_TRAILERS,
    LENGTH,
    NO_BODY,
    STATUS_LINES,
    TRANSFER_ENCODING_CHUNKED,
    UNTIL_CLOSE,
)
from .scan import decimal, encode_fields, glue, same_name

# A first part of the body up to this size is copied behind its head; a longer one goes on by itself.
COPIED = 16384

# Types accepted for a name or value; anything but `bytes` itself is copied first.
BYTES = (bytes, bytearray, memoryview)


class Encoder:
    """Frames one response. `keep_alive` is the connection's wish, and once the head is framed the decision;
    `body_size` is the size of the content so far.
    """

    __slots__ = (
        "_block",
        "_connection_fields",
        "_framing",
        "_has_body",
        "_head_pending",
        "_http11",
        "_line",
        "_own_date",
        "_own_server",
        "_own_transfer_encoding",
        "_remaining",
        "_shared",
        "_with_trailers",
        "body_size",
        "keep_alive",
        "status",
    )

    def __init__(self, shared, method, http11, keep_alive):
        self._shared = shared
        self._http11 = http11
        self._has_body = method != "HEAD"
        self._head_pending = False
        self.status = 0
        self._line = b""
        self._block = b""
        self._connection_fields = None
        self._framing = UNTIL_CLOSE
        self._remaining = 0
        self._with_trailers = False
        self._own_date = False
        self._own_server = False
        self._own_transfer_encoding = False
        self.body_size = 0
        self.keep_alive = keep_alive

    def start(self, status, headers, trailers):
        """Check and keep the head; `head` frames it, with the first of the body or when the turn ends."""
        line = STATUS_LINES.get(status)
        if line is None or not isinstance(status, int):
            raise ValueError(f"not a status for a response: {status!r}")
        fields = headers if type(headers) is list else list(headers)
        block = encode_fields(fields)
        if block is None:
            fields = checked_fields(fields)
            block = encode_fields(fields)
        length = -1
        repeated = False
        closes = False
        own_connection = False
        own_date = False
        own_server = False
        own_transfer_encoding = False
        for field in fields:
            name, value = field
            size = len(name)
            if size == 14:
                if same_name(name, b"content-length"):
                    declared = decimal(value)
                    if declared < 0:
                        raise ValueError(f"malformed content-length: {value!r}")
                    if length >= 0:
                        if declared != length:
                            raise ValueError(f"two content-lengths: {length} and {declared}")
                        repeated = True
                    length = declared
            elif size == 4:
                if same_name(name, b"date"):
                    own_date = True
            elif size == 6:
                if same_name(name, b"server"):
                    own_server = True
            elif size == 10:
                if same_name(name, b"connection"):
                    own_connection = True
                    closes = closes or b"close" in [option.strip() for option in value.lower().split(b",")]
            elif size == 17:
                if same_name(name, b"transfer-encoding"):
                    if value.strip().lower() != b"chunked" or own_transfer_encoding:
                        raise ValueError(f"transfer-encoding the server cannot frame: {value!r}")
                    own_transfer_encoding = True
        # Nothing is kept of a head that is refused: the application may send another.
        self._line = line
        self.status = int(status)  # an (int, Enum) would be logged by its name
        self._own_date = own_date
        self._own_server = own_server
        self._with_trailers = trailers
        # Beside a transfer-encoding a length counts for nothing, and must not be sent (RFC 9112 section 6.2).
        self._decide_framing(-1 if own_transfer_encoding else length)
        if closes:
            self.keep_alive = False
        self._own_transfer_encoding = own_transfer_encoding and self._framing == CHUNKED
        if repeated or own_transfer_encoding or (status == 204 and length >= 0):
            if length >= 0:
                fields = _without(fields, b"content-length")
                if not own_transfer_encoding and status != 204:
                    fields.append((b"content-length", b"%d" % length))
            if own_transfer_encoding and self._framing != CHUNKED:
                fields = _without(fields, b"transfer-encoding")
            block = encode_fields(fields)
        if own_connection:
            self._connection_fields = fields
        self._block = block
        self._head_pending = True

    def head(self, out):
        """Frame the head if it has not been; return the number of bytes."""
        if not self._head_pending:
            return 0
        head = self._frame_head(b"")
        out.append(head)
        return len(head)

    def body(self, data, more, out):
        """Frame a part of the body, the head before it if need be; return the number of bytes."""
        count = len(data)
        framing = self._framing
        if framing == LENGTH:
            if count > self._remaining:
                raise ValueError("body longer than its content-length")
            if not more and count < self._remaining:
                raise ValueError("body shorter than its content-length")
            self._remaining -= count
        elif framing == NO_BODY:
            return self.head(out)
        self.body_size += count
        if framing != CHUNKED:
            if self._head_pending and count <= COPIED:
                data = self._frame_head(data)
                out.append(data)
                return len(data)
            size = self.head(out)
            if count:
                out.append(data)
            return size + count
        size = self.head(out)
        if count:
            line = b"%x\r\n" % count
            out.append(line)
            out.append(data)
            out.append(CRLF)
            size += len(line) + count + 2
        if not more and not self._with_trailers:
            out.append(LAST_CHUNK)
            size += 5
        return size

    def trailers(self, headers, out):
        """Frame the trailer section, which ends a chunked response (RFC 9112 section 7.1.2); others have none."""
        fields = checked_fields(headers)
        for name, _ in fields:
            if name.lower() in FORBIDDEN_TRAILERS:
                raise ValueError(f"not a field for a trailer section: {name!r}")
        if self._framing != CHUNKED:
            return 0
        block = LAST_CHUNK_BEFORE_TRAILERS + encode_fields(fields) + CRLF
        out.append(block)
        return len(block)

    def early_hints(self, links, out):
        """Frame an interim response (RFC 8297); after the head there is no place for one."""
        if not self._http11 or (self.status and not self._head_pending):
            return 0
        block = EARLY_HINTS + encode_fields(checked_fields([(b"link", link) for link in links])) + CRLF
        out.append(block)
        return len(block)

    def left(self):
        """The bytes of a declared length that are still due; -1 without one."""
        return self._remaining if self._framing == LENGTH else -1

    def file(self, size, out):
        """Open a part of the body of `size` bytes that goes on the wire by other means; false if none of it may."""
        if self._framing == LENGTH:
            if size > self._remaining:
                raise ValueError("file longer than the content-length")
            self._remaining -= size
        self.head(out)
        if self._framing == CHUNKED and size:
            out.append(b"%x\r\n" % size)
        return size > 0 and self._framing != NO_BODY

    def file_sent(self, size):
        """So much more of that part is sent."""
        self.body_size += size

    def file_end(self, out):
        """Close the part that `file` opened."""
        if self._framing == CHUNKED:
            out.append(CRLF)

    def field(self, name):
        """The value of the application's first field `name`, given in lower case; None without one."""
        block = b"\r\n" + self._block
        start = block.find(b"\r\n%b: " % name)
        if start < 0:
            return None
        start += len(name) + 4
        return block[start : block.find(b"\r\n", start)]

    def head_is_pending(self):
        """Whether `start` was heard and nothing of the response has been framed."""
        return self._head_pending

    def ends_with_connection(self):
        """Whether only the end of the stream ends the body."""
        return self._framing == UNTIL_CLOSE

    def _frame_head(self, body):
        """The head with `body` behind it. What becomes of the connection is decided by now."""
        self._head_pending = False
        shared = self._shared
        if not self._own_date and not self._own_server:
            fields = shared.default_fields
        else:
            fields = shared.fields_beside(self._own_date, self._own_server)
        if self._framing == UNTIL_CLOSE or shared.draining:
            self.keep_alive = False
        end = CRLF
        if self._framing == CHUNKED and not self._own_transfer_encoding:
            end = TRANSFER_ENCODING_CHUNKED + CRLF
        if not self.keep_alive:
            if self._connection_fields is not None:
                self._block = encode_fields(_without(self._connection_fields, b"connection"))
            end = CONNECTION_CLOSE + end
        elif not self._http11 and self._connection_fields is None:
            end = CONNECTION_KEEP_ALIVE + end
        return glue(self._line, fields, self._block, end, body)

    def _decide_framing(self, length):
        status = self.status
        if not self._has_body or status == 204 or status == 304:
            self._framing = NO_BODY
        elif length >= 0:
            self._framing = LENGTH
            self._remaining = length
        elif self._http11:
            self._framing = CHUNKED
        else:
            self._framing = UNTIL_CLOSE


def checked_fields(headers):
    """Fields, of any type that holds bytes, as pairs of `bytes`; `TypeError` or `ValueError` names one that may not be
    sent (RFC 9110 section 5.5).
    """
    fields = []
    for pair in headers:
        name, value = pair
        if not isinstance(name, BYTES) or not isinstance(value, BYTES):
            raise TypeError(f"a header's name and value are bytes, not {name!r}: {value!r}")
        fields.append((bytes(name), bytes(value)))
        if encode_fields(fields[-1:]) is None:
            raise ValueError(f"malformed header: {name!r}: {value!r}")
    return fields


def _without(fields, unwanted):
    return [field for field in fields if not same_name(field[0], unwanted)]
