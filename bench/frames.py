"""Requests of HTTP/2 as bytes (RFC 9113, RFC 7541): the first fills the table for header compression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pronghorn.http2_constants import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE

STATIC = {(":method", "GET"): 2, (":method", "POST"): 3, (":path", "/"): 4, (":scheme", "http"): 6}
STATIC_SIZE = 61
CONTENT_LENGTH = 28
WIDEST = 2**31 - 1
INITIAL_WINDOW = 65535


@dataclass(frozen=True)
class Requests:
    """Requests of `/` on one connection, with the same `fields` and, if it is a POST, `body`."""

    fields: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def opening(self) -> bytes:
        """The start of a connection, and the first request."""
        window = (WIDEST - INITIAL_WINDOW).to_bytes(4)
        start = PREFACE + frame(SETTINGS) + frame(WINDOW_UPDATE, payload=window) + frame(SETTINGS, ACK)
        return start + self._request(1, b"".join(static(field) or literal(*field) for field in self._all))

    def following(self, count: int) -> list[bytes]:
        """The requests after the first."""
        kept = [field for field in self._all if not static(field)]
        # The table begins with the last field.
        indices = {field: bytes([0x80 | (STATIC_SIZE + len(kept) - at)]) for at, field in enumerate(kept)}
        block = b"".join(static(field) or indices[field] for field in self._all)
        return [self._request(3 + 2 * number, block) for number in range(count)]

    @property
    def _all(self) -> Sequence[tuple[str, str]]:
        method = "POST" if self.body else "GET"
        return (":method", method), (":scheme", "http"), (":authority", "127.0.0.1:8000"), (":path", "/"), *self.fields

    def _request(self, stream: int, block: bytes) -> bytes:
        if not self.body:
            return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
        # Clients do not put it into the table, as it is another one each time.
        block += b"\x0f" + bytes([CONTENT_LENGTH - 15]) + string(str(len(self.body)))
        return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, self.body)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def static(field: tuple[str, str]) -> bytes:
    """The reference to a field of the static table, empty if it has none that is known here."""
    return bytes([0x80 | STATIC[field]]) if field in STATIC else b""


def literal(name: str, value: str) -> bytes:
    """A field that is put into the table (RFC 7541 section 6.2.1)."""
    return b"\x40" + string(name) + string(value)


def string(text: str) -> bytes:
    """A string without Huffman coding, of up to 254 characters (RFC 7541 section 5.2)."""
    size = len(text)
    return (bytes([size]) if size < 127 else bytes([127, size - 127])) + text.encode()
