"""Decode request bodies (RFC 9112 sections 6 and 7.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pronghorn.constants import CHUNKED, LENGTH, MAX_CHUNK_LINE
from pronghorn.errors import ProtocolError

from ..kernels import cut, find_bare_cr, find_byte, find_head_end, split_fields

if TYPE_CHECKING:
    from _typeshed import MaybeNone

    from ..pace import Pace
    from ..shared import Limits

# Chunk extensions are ignored, whatever characters their values have. But a quoted string must be a whole value and end
# on its line: in a string left open, another parser would read on past the line (RFC 9112 section 7.1.1, RFC 9110
# section 5.6.4). All quantifiers are possessive: no backtracking.
_CONTROL = rb"\x00-\x08\x0a-\x1f\x7f"
_STRING = rb'"(?:[^"\\%b]|\\[^%b])*+"[\t ]*+' % (_CONTROL, _CONTROL)
_EXTENSION = rb';[^";=\\%b]*+(?:=[\t ]*+(?:%b|[^";\\%b]*+))?+' % (_CONTROL, _STRING, _CONTROL)
# At most fifteen hexadecimal digits: the size must fit a 64-bit integer in C.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[\t ]*+(?:%b)++)?+\r\n" % _EXTENSION)

# The next part of a chunked body.
SIZE = 0
CONTENT = 1
CONTENT_END = 2
TRAILERS = 3


class Decoder:
    """Decodes one body. `remaining` is the number of bytes missing from the declared length or the current chunk,
    `size` the size of the content so far, `pace` the client's, from the first second on in which it is measured.
    """

    __slots__ = ("_chunked", "_expected", "_limits", "_searched", "done", "pace", "position", "remaining", "size")

    done: bool
    position: int
    remaining: int
    size: int
    pace: Pace | MaybeNone
    _limits: Limits
    _chunked: bool
    _expected: int
    _searched: int

    def __init__(self, framing: int, length: int, limits: Limits) -> None:
        self._limits = limits
        self._chunked = framing == CHUNKED
        self._expected = SIZE
        # Bytes of an unfinished trailer section that need not be searched again.
        self._searched = 0
        self.remaining = length
        self.done = framing != CHUNKED and length == 0
        self.position = 0
        self.size = 0
        self.pace = None
        if limits.body_size and framing == LENGTH and length > limits.body_size:
            raise ProtocolError(413, "body too long")

    def feed(self, data: bytes, position: int) -> bytes:
        """Return the content in `data[position:]`, and set `self.position` to its end or to an unfinished line."""
        if self._chunked:
            return self._feed_chunked(data, position)
        content = self._take(data, position)
        self.done = self.remaining == 0
        return content

    def _take(self, data: bytes, position: int) -> bytes:
        available = len(data) - position
        if position == 0 and available <= self.remaining:
            content = data  # usual in a long body: no copy
        else:
            content = cut(data, position, position + min(available, self.remaining))
        self.remaining -= len(content)
        self.size += len(content)
        self.position = position + len(content)
        return content

    def _feed_chunked(self, data: bytes, position: int) -> bytes:
        pieces = []
        self.position = position
        while self.position < len(data) and not self.done:
            if self._expected == CONTENT:
                pieces.append(self._take(data, self.position))
                if self.remaining == 0:
                    self._expected = CONTENT_END
            elif not self._read_line(data):
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_line(self, data: bytes) -> bool:
        """Read a line between or after chunks, or the trailer section. Return whether it was complete."""
        start = self.position
        if self._expected == TRAILERS:
            return self._read_trailers(data, start)
        if self._expected == CONTENT_END:
            if data[start] != 13 or (start + 1 < len(data) and data[start + 1] != 10):
                raise ProtocolError(400, "chunk longer than its size")
            if start + 2 > len(data):
                return False
            self.position = start + 2
            self._expected = SIZE
            return True
        end = find_byte(data, b"\n", start, len(data)) + 1
        if (end or len(data)) - start > MAX_CHUNK_LINE:
            raise ProtocolError(400, "chunk extensions too long")
        if end == 0:
            if find_bare_cr(data, start, len(data)) >= 0:
                raise ProtocolError(400, "malformed chunk size")
            return False
        match = _CHUNK_LINE.fullmatch(data, start, end)
        if match is None:
            raise ProtocolError(400, "malformed chunk size")
        self.remaining = int(match[1], 16)
        self.position = end
        self._expected = CONTENT if self.remaining else TRAILERS
        if self._limits.body_size and self.size + self.remaining > self._limits.body_size:
            raise ProtocolError(413, "body too long")
        return True

    def _read_trailers(self, data: bytes, start: int) -> bool:
        """Check the trailers' syntax and limits, and drop them: nothing in them may override the head. Return whether
        the section was complete.
        """
        if data.startswith(b"\r\n", start):
            self.position = start + 2
            self.done = True
            return True
        resume = start + self._searched
        end = find_head_end(data, start, resume)
        size = (len(data) if end < 0 else end) - start
        if end < 0 or size > self._limits.head_size:
            # An error within the limit has priority over what exceeds it, as if every byte arrived alone.
            stop = start + min(size, self._limits.head_size)
            has_bare_lf = end == -2 and find_head_end(cut(data, 0, stop), start, resume) == -2
            if has_bare_lf or find_bare_cr(data, max(start, resume - 1), stop) >= 0:
                raise ProtocolError(400, "malformed trailer")
            if size > self._limits.head_size:
                raise ProtocolError(431, "trailers too long")
            self._searched = size
            return False
        fields = split_fields(data, start, end - 2)
        if fields is None:
            raise ProtocolError(400, "malformed trailer")
        if len(fields) > self._limits.head_fields:
            raise ProtocolError(431, "too many trailer fields")
        self.position = end
        self.done = True
        return True
