"""Leaf functions over bytes for HTTP/2, without decisions. The compiled form has its own, with the same results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pronghorn.hpack_tables import SENSITIVE_FIELDS, STATIC_NAMES, huffman_ends, huffman_transitions
from pronghorn.http2_constants import DATA, END_HEADERS, END_STREAM, HEADERS, PSEUDO_FIELDS

from ..kernels import encode_fields

if TYPE_CHECKING:
    from typing import Any

    from _typeshed import MaybeNone

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_STRIPPED_VALUE = re.compile(rb"(?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")

_TRANSITIONS = huffman_transitions()
_ENDS = huffman_ends()


def unhuffman(data: bytes, start: int, end: int) -> bytes | None:
    """Decode `data[start:end]` from the Huffman code (RFC 7541 section 5.2); None if it is malformed."""
    text = bytearray()
    state = 0
    for byte in data[start:end]:
        for bits in (byte >> 4, byte & 15):
            state, symbol = _TRANSITIONS[16 * state + bits]
            if state < 0:
                return None
            if symbol >= 0:
                text.append(symbol)
    return bytes(text) if _ENDS[state] else None


def is_field(name: bytes, value: bytes) -> bool:
    """Return whether a request may contain the field: its name is a token in lower case or that of a pseudo-header
    field, its value a field value without whitespace around it (RFC 9113 section 8.2.1).
    """
    if not _STRIPPED_VALUE.fullmatch(value):
        return False
    return _NAME.fullmatch(name) is not None or name in PSEUDO_FIELDS


def encode_literals(fields: list[Any]) -> bytes | MaybeNone:
    """A field block for `fields`, pairs of exactly `bytes`, that leaves the client's table as it is (RFC 7541 sections
    6.2.2 and 6.2.3). Names become lower case, values lose the whitespace around them.

    None if a member is anything else, a name is not a token or a value is not a field value. No other thread may change
    `fields` meanwhile.
    """
    if encode_fields(fields) is None:
        return None
    parts = []
    for name, value in fields:
        name = name.lower()
        value = value.strip(b" \t")
        index = STATIC_NAMES.get(name, 0)
        parts.append(_integer(index, 15, 0x10 if name in SENSITIVE_FIELDS else 0))
        if not index:
            parts += (_integer(len(name), 127, 0), name)
        parts += (_integer(len(value), 127, 0), value)
    return b"".join(parts)


def frame_header(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The header of a frame with `size` bytes of payload (RFC 9113 section 4.1)."""
    return b"%b%b%b" % (size.to_bytes(3, "big"), bytes((kind, flags)), stream.to_bytes(4, "big"))


def word_frame(kind: int, stream: int, word: int) -> bytes:
    """A frame whose payload is a 32-bit integer: RST_STREAM or WINDOW_UPDATE."""
    return frame_header(4, kind, 0, stream) + word.to_bytes(4, "big")


def frame_response(stream: int, status: bytes, defaults: bytes, block: bytes, data: bytes, ends: bool) -> bytes:
    """HEADERS with the three parts of a field block and, unless `data` is empty, DATA. `ends` ends the stream.

    The block fits into one frame, and `data` into another.
    """
    size = len(status) + len(defaults) + len(block)
    end = END_STREAM if ends else 0
    head = frame_header(size, HEADERS, END_HEADERS if data else END_HEADERS | end, stream)
    if not data:
        return b"".join((head, status, defaults, block))
    return b"".join((head, status, defaults, block, frame_header(len(data), DATA, end, stream), data))


def _integer(value: int, most: int, flags: int) -> bytes:
    """An integer whose first byte has `flags` and values up to `most` (RFC 7541 section 5.1)."""
    if value < most:
        return bytes((flags | value,))
    octets = [flags | most]
    value -= most
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)
