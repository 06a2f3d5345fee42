"""The interface between a request and the framing of its response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.constants import LENGTH, NO_BODY, PHRASES, UNTIL_CLOSE, UPGRADE_REQUIRED

from .kernels import decimal, encode_fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pronghorn.types import Headers

# Types accepted for a name or value. All but `bytes` itself are copied.
BYTES = (bytes, bytearray, memoryview)


class Encoder:
    """Frames one response: takes the application's messages, and appends framed bytes to `out`.

    A framing method returns the number of bytes that it added, and raises `ValueError` or `TypeError` for data that
    must not be sent. `status` is 0 until `start`; `body_size` is the size of the content so far; `has_trailers` is true
    if a trailer section follows the body.
    """

    __slots__ = ("_framing", "_has_body", "_remaining", "body_size", "has_trailers", "status")

    status: int
    body_size: int
    has_trailers: bool
    _framing: int
    _has_body: bool
    _remaining: int

    def begin(self, method: str) -> None:
        """Initialise the fields of this class for the response to `method`."""
        self.body_size = 0
        self.has_trailers = False
        self.status = 0
        self._framing = UNTIL_CLOSE
        self._has_body = method != "HEAD"
        # The bytes missing from a declared length.
        self._remaining = 0

    def start(self, status: int, headers: Iterable[Any], has_trailers: bool) -> None:
        """Check the head, and keep it for framing."""
        raise NotImplementedError

    def head(self, out: list[bytes]) -> int:
        """Frame the head without content."""
        raise NotImplementedError

    def body(self, data: bytes, more: bool, out: list[bytes]) -> int:
        """Frame a part of the body, preceded by the head if that is not framed yet."""
        raise NotImplementedError

    def trailers(self, headers: Iterable[Any], out: list[bytes]) -> int:
        """Frame the trailer section, which ends the response."""
        raise NotImplementedError

    def early_hints(self, links: Iterable[bytes], out: list[bytes]) -> int:
        """Frame an interim response (RFC 8297)."""
        raise NotImplementedError

    def left(self) -> int:
        """The number of bytes missing from the declared length; -1 without one."""
        return self._remaining if self._framing == LENGTH else -1

    def file(self, size: int, out: list[bytes]) -> bool:
        """Begin a part of the body, `size` bytes, that is sent by other means. Return false if it must not be sent."""
        raise NotImplementedError

    def file_sent(self, size: int) -> None:
        """Count `size` bytes of that part as sent."""
        raise NotImplementedError

    def file_end(self, out: list[bytes]) -> None:
        """End the part that `file` began."""
        raise NotImplementedError

    def field(self, name: bytes) -> bytes | None:
        """The value of the application's first field `name` (lower-case), or None."""
        raise NotImplementedError

    def _decide_framing(self, length: int, without_length: int) -> None:
        """Set the framing of a body with the declared `length`, or -1. The answer to HEAD has no body."""
        if not self._has_body or self.status == 204 or self.status == 304:
            self._framing = NO_BODY
        elif length >= 0:
            self._framing = LENGTH
            self._remaining = length
        else:
            self._framing = without_length

    def _count_content(self, count: int, more: bool) -> bool:
        """Count a part of the body. Return false if the response has none. Raises ValueError for a wrong length."""
        if self._framing == NO_BODY:
            return False
        if self._framing == LENGTH:
            if count > self._remaining:
                raise ValueError("body longer than its content-length")
            if not more and count < self._remaining:
                raise ValueError("body shorter than its content-length")
            self._remaining -= count
        self.body_size += count
        return True


def checked_fields(headers: Iterable[Any]) -> Headers:
    """Convert fields, of any bytes-like type, to pairs of `bytes`. Raises `TypeError` or `ValueError` for a field that
    must not be sent (RFC 9110 section 5.5).
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


def has_field(headers: Iterable[Any], lower: bytes) -> bool:
    """Return whether `headers`, which may not be checked yet, have the field with the name `lower`."""
    return lower in [bytes(name).lower() for name, _ in headers if isinstance(name, BYTES)]


def declared_length(value: bytes, before: int) -> int:
    """The length in a response's Content-Length, where `before` is that of an earlier one, or -1. Raises ValueError."""
    length = decimal(value)
    if length < 0:
        raise ValueError(f"malformed content-length: {value!r}")
    if before >= 0 and length != before:
        raise ValueError(f"two content-lengths: {before} and {length}")
    return length


def own_answer(status: int) -> tuple[Headers, bytes]:
    """The fields and the body of a response that the server gives for the application."""
    text = b"Invalid HTTP request received." if status == 400 else PHRASES[status].encode("ascii")
    fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
    return fields + UPGRADE_REQUIRED if status == 426 else fields, text
