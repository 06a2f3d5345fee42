"""Leaf functions over bytes, without decisions.

The compiled form has its own `kernels`; tests require the same results from both. Callers bound every scan by `end`,
and lines by the CRLF before it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from bisect import bisect_left
from os import read, write
from time import monotonic as _monotonic
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from pronghorn.constants import COMMON_METHODS, RETURNED
from pronghorn.metrics.layout import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from _typeshed import MaybeNone

    from pronghorn.types import Headers

    from ._interfaces import Poll

_METHODS = {name.encode("ascii"): name for name in COMMON_METHODS}
_INDEXES = {name: index for index, name in enumerate(COMMON_METHODS)}

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Z]+")
_VISIBLE = re.compile(rb"[!-~]+")
_FIELD_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.\-]+(?::[0-9]*)?")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r[^\n]")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/\-]*")
_DECIMAL = re.compile(rb"[0-9]{1,18}")
_FIELD_LINE = re.compile(
    rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+"
    rb"((?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?)[ \t]*\r\n",
    re.MULTILINE,
)


def find_byte(data: bytes, byte: bytes, start: int, end: int) -> int:
    """The index of the first `byte` in `data[start:end]`, or -1."""
    return data.find(byte, start, end)


def find_head_end(data: bytes, start: int, resume: int) -> int:
    """The index after the empty line that ends the head at `start`; -1 if the head is incomplete, -2 if a line feed has
    no carriage return.

    `resume` is the index at which an earlier search for the same head stopped.
    """
    index = data.find(b"\r\n\r\n", max(start, resume - 3))
    end = index + 4 if index >= 0 else len(data)
    if _BARE_LF.search(data, resume, end) or (resume <= start and data.startswith(b"\n", start)):
        return -2
    return end if index >= 0 else -1


def find_bare_cr(data: bytes, start: int, end: int) -> int:
    """The index of the first carriage return in `data[start:end]` that is followed by another byte than a line feed, or
    -1. A carriage return at the end does not count.
    """
    match = _BARE_CR.search(data, start, end)
    return match.start() if match else -1


def cut(data: bytes, start: int, end: int) -> bytes:
    """`data[start:end]`, for `0 <= start <= end <= len(data)`. Compiled, this costs 15 ns, a slice of bytes 60."""
    return data[start:end]


def glue(line: bytes, fields: bytes, block: bytes, end: bytes, body: bytes) -> bytes:
    """Join the five parts of a response: one allocation instead of a list, its growth and a join."""
    return b"".join((line, fields, block, end, body))


def method_end(data: bytes, start: int, end: int) -> int:
    """The end of the method at `start`, a token without lower-case letters; `start` itself without one."""
    match = _METHOD.match(data, start, end)
    return match.end() if match else start


def method_text(data: bytes, start: int, end: int) -> str:
    """The method `data[start:end]`, which `method_end` has found: the same object for each that is common."""
    return _METHODS.get(data[start:end]) or data[start:end].decode("ascii")


def method_index(method: str) -> int:
    """The index of a method in COMMON_METHODS, or their number for any other."""
    return _INDEXES.get(method, len(COMMON_METHODS))


def visible_end(data: bytes, start: int, end: int) -> int:
    """The end of the visible ASCII characters at `start`."""
    match = _VISIBLE.match(data, start, end)
    return match.end() if match else start


def split_fields(data: bytes, start: int, end: int) -> Headers | None:
    """Split `data[start:end]`, field lines with CRLF, into (lower-case name, value); None if a line is malformed."""
    section = data[start:end]
    pairs = _FIELD_LINE.findall(section)
    if len(pairs) != section.count(b"\n"):
        return None
    return [(name.lower(), value) for name, value in pairs]


def stable_fields(headers: Iterable[Any]) -> list[Any]:
    """The application's `headers` as a list that no other thread changes, and neither its pairs, until the caller has
    encoded and read them. Compiled, with the GIL, a list stays as it is.
    """
    return [tuple(pair) if type(pair) is list else pair for pair in list(headers)]


def encode_fields(fields: list[Any]) -> bytes | MaybeNone:
    """Field lines for `fields`, pairs of exactly `bytes`, with names in lower case; None if a member is anything else,
    a name is not a token or a value is not a field value. No other thread may change `fields` meanwhile.
    """
    lines = []
    for pair in fields:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            return None
        name, value = pair
        if type(name) is not bytes or type(value) is not bytes:
            return None
        if not _TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            return None
        lines.append(b"%b: %b\r\n" % (name.lower(), value))
    return b"".join(lines)


def same_name(name: bytes, lower: bytes) -> bool:
    """Return whether `name` equals `lower`, a name in lower case, regardless of ASCII case."""
    return name.lower() == lower


def is_plain_host(value: bytes) -> bool:
    """Return whether `value` is letters, digits, dots and hyphens with an optional port, as nearly every Host is."""
    return _PLAIN_HOST.fullmatch(value) is not None


def is_plain_path(path: str) -> bool:
    """Return whether `urllib.parse.quote` would leave `path` unchanged."""
    return _PLAIN_PATH.fullmatch(path) is not None


def decimal(value: bytes) -> int:
    """The value of one to eighteen decimal digits, which fits a 64-bit integer in C, or -1."""
    return int(value) if _DECIMAL.fullmatch(value) else -1


def unquote(data: bytes, start: int, end: int) -> str:
    """Percent-decode `data[start:end]`, visible ASCII, once, then decode UTF-8 with U+FFFD for invalid sequences."""
    part = data[start:end]
    if b"%" not in part:
        return part.decode("ascii")
    return unquote_to_bytes(part).decode("utf-8", "replace")


def mask_key(data: bytes, at: int) -> int:
    """The masking key at `data[at]`, as a number for `unmask`: its first byte is the lowest (RFC 6455 section 5.3)."""
    return int.from_bytes(data[at : at + 4], "little")


def rotate(key: int, count: int) -> int:
    """The key for the data after `count` bytes."""
    shift = count % 4 * 8
    return (key >> shift | key << (32 - shift)) & 0xFFFFFFFF


def unmask(data: bytes, start: int, end: int, key: int) -> bytes:
    """Unmask `data[start:end]`."""
    size = end - start
    mask = key.to_bytes(4, "little") * (size // 4 + 1)
    return (int.from_bytes(data[start:end], "little") ^ int.from_bytes(mask[:size], "little")).to_bytes(size, "little")


def unmask_pieces(pieces: list[bytes], start: int, size: int, key: int) -> bytes:
    """Unmask and join `size` bytes of `pieces`, beginning at `start` in the first piece."""
    parts = []
    for piece in pieces:
        count = min(len(piece) - start, size)
        parts.append(unmask(piece, start, start + count, key))
        key = rotate(key, count)
        size -= count
        start = 0
    return b"".join(parts)


def unmask_text(data: bytes, start: int, end: int, key: int) -> str:
    """Unmask `data[start:end]`, and decode it as UTF-8. Raises UnicodeDecodeError."""
    return unmask(data, start, end, key).decode()


def whole_frame(first: int, payload: bytes) -> bytes:
    """An unmasked frame with up to 65,535 bytes, in one piece. `first` is its first byte."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    return bytes((first, 126, size >> 8, size & 255)) + payload


def ascii_frame(text: str) -> bytes | None:
    """A whole text frame with up to 65,535 characters; None if `text` is not ASCII or too long."""
    if len(text) > 65535 or not text.isascii():
        return None
    return whole_frame(0x81, text.encode("ascii"))


def send_now(fd: int, data: bytes) -> int:
    """Write to a socket without blocking; return the number of bytes written, or -1 after an error."""
    try:
        return write(fd, data)
    except OSError:
        return -1


def send_buffers_now(fd: int, buffers: list[Any]) -> int:
    """Like `send_now`, for up to 64 objects that are `bytes` or views of them."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            return os.writev(fd, buffers)
    return -1


def receive_now(fd: int, size: int) -> bytes | None:
    """Read up to `size` bytes, at most 262,144, from a non-blocking socket.

    Return b"" at its end, and None if there is nothing to read. Raises OSError.
    """
    try:
        return read(fd, size)
    except BlockingIOError:
        return None


def receive_large(fd: int, size: int) -> bytes | None:
    """Like `receive_now`, for input that is probably large: the compiled form reads into the object that it returns."""
    return receive_now(fd, size)


def readable(poll: Poll, limit: int) -> list[int]:
    """Up to `limit` descriptors that `poll`, open, reports as readable."""
    return [fd for fd, _ in poll.poll(0, limit)]


class Cells:
    """Integers of 64 bits in `memory`, a writable `memoryview` of format "q", which another process may read."""

    __slots__ = ("_memory",)

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    def add(self, index: int, amount: int) -> None:
        """Add to one of them. The compiled form does not check the index."""
        self._memory[index] += amount

    def observe(self, first: int, seconds: float) -> None:
        """Add a value to a histogram: its buckets, from `first` on, and its sum."""
        nanoseconds = int(seconds * 1e9)
        self._memory[first + bisect_left(BOUNDS, nanoseconds)] += 1
        self._memory[first + len(BOUNDS) + 1] += nanoseconds


def monotonic() -> float:
    """`time.monotonic()`; compiled, it does not call Python."""
    return _monotonic()


def advance(coroutine: Any) -> Any:
    """Resume a coroutine until it waits; return what it yields, or RETURNED once it returns None.

    Raises what it raises, and StopIteration with any other result. Compiled, a return costs no exception.
    """
    try:
        return coroutine.send(None)
    except StopIteration as end:
        if end.value is None:
            return RETURNED
        raise


def stop_with(value: object) -> None:
    """End an iterator with `value` as its result. Compiled, it costs half, as it creates no traceback."""
    raise StopIteration(value)
