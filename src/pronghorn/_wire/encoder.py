"""The interface between a request and the framing of its response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scan import encode_fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pronghorn.types import Headers

# Types accepted for a name or value; anything but `bytes` itself is copied first.
BYTES = (bytes, bytearray, memoryview)


class Encoder:
    """Frames one response: takes what the application says, appends finished bytes to `out`.

    Each framing method returns the number of bytes that it has added, and raises `ValueError` or `TypeError` for what
    must not be sent. `status` is 0 until `start`; `body_size` is the size of the content so far; `has_trailers` says
    that a trailer section follows the body.
    """

    __slots__ = ("body_size", "has_trailers", "status")

    status: int
    body_size: int
    has_trailers: bool

    def begin(self) -> None:
        """Initialise what all encoders have."""
        self.body_size = 0
        self.has_trailers = False
        self.status = 0

    def start(self, status: int, headers: Iterable[Any], has_trailers: bool) -> None:
        """Check and keep the head."""
        raise NotImplementedError

    def head(self, out: list[bytes]) -> int:
        """Frame the head without content."""
        raise NotImplementedError

    def body(self, data: bytes, more: bool, out: list[bytes]) -> int:
        """Frame a part of the body, before it the head if it has not been."""
        raise NotImplementedError

    def trailers(self, headers: Iterable[Any], out: list[bytes]) -> int:
        """Frame the trailer section, which ends the response."""
        raise NotImplementedError

    def early_hints(self, links: Iterable[bytes], out: list[bytes]) -> int:
        """Frame an interim response (RFC 8297)."""
        raise NotImplementedError

    def left(self) -> int:
        """The bytes of a declared length that are still due; -1 without one."""
        raise NotImplementedError

    def file(self, size: int, out: list[bytes]) -> bool:
        """Open a part of the body of `size` bytes that is sent by other means; false if none of it may be."""
        raise NotImplementedError

    def file_sent(self, size: int) -> None:
        """`size` more bytes of that part are sent."""
        raise NotImplementedError

    def file_end(self, out: list[bytes]) -> None:
        """Close the part that `file` opened."""
        raise NotImplementedError

    def field(self, name: bytes) -> bytes | None:
        """The value of the application's first field `name`, given in lower case; None without one."""
        raise NotImplementedError


def checked_fields(headers: Iterable[Any]) -> Headers:
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
