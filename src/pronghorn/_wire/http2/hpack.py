"""Decode the header compression of requests (RFC 7541).

Responses use the static table and literals only, see `encode_literals`: no table is kept for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pronghorn.errors import HTTP2Error
from pronghorn.hpack_tables import STATIC_TABLE
from pronghorn.http2_constants import COMPRESSION_ERROR, ENHANCE_YOUR_CALM

from ..kernels import cut
from .kernels import is_field, unhuffman

if TYPE_CHECKING:
    from typing import Any

    from pronghorn.types import Headers


# The bytes of the table that a client may use: the default, which our settings leave (RFC 9113 section 6.5.2).
TABLE_SIZE = 4096
# The bytes that an entry counts in addition to its name and value (RFC 7541 section 4.1).
ENTRY_OVERHEAD = 32
# A client may change the size of the table twice at the start of a block (RFC 7541 section 4.2).
MOST_SIZE_UPDATES = 2
# No integer is longer than this many bytes after its first one: 28 bits, which hold every size of a block.
LONGEST_INTEGER = 4

# A block of some kilobytes may stand for a list of megabytes (CVE-2016-6581). Up to this multiple of the limit the
# request is answered, beyond it the connection ends.
MOST_EXCESS = 4

# The static table, beginning with index 1.
_STATIC = [(b"", b""), *STATIC_TABLE]
_STATIC_COUNT = len(STATIC_TABLE)


class Decoder:
    """Decodes the field blocks of one connection, in their order.

    The table holds pairs that were checked when they were added: an indexed field costs one reference. A field that no
    request may contain has to be kept as well; it has a third member. After `decode`, `malformed` is such a field of
    the block, or None, and `size` is the size of the whole list as RFC 9113 section 6.5.2 counts it.
    """

    __slots__ = ("_entries", "_position", "_table_limit", "_table_size", "malformed", "size")

    malformed: tuple[Any, ...] | None
    size: int
    _entries: list[tuple[Any, ...]]
    _position: int
    _table_limit: int
    _table_size: int

    def __init__(self) -> None:
        # The newest entry is the last one.
        self._entries = []
        self._position = 0
        self._table_limit = TABLE_SIZE
        self._table_size = 0
        self.malformed = None
        self.size = 0

    def decode(self, block: bytes, limit: int) -> Headers:
        """The fields of a whole block. Those beyond `limit` bytes are left out; the table follows them all the same.

        Raises HTTP2Error for a block that cannot be decoded, or is far above the limit: the table would no longer be
        the client's.
        """
        fields: Headers = []
        self.malformed = None
        self._position = 0
        size = 0
        updates = 0
        while self._position < len(block):
            first = block[self._position]
            if first & 0x80:
                entry = self._entry(self._integer(block, 0x7F))
            elif first & 0x40:
                entry = self._literal(block, 0x3F)
                self._insert(entry)
            elif first & 0x20:
                updates += 1
                if size or updates > MOST_SIZE_UPDATES:
                    raise HTTP2Error(COMPRESSION_ERROR, "table size update within a field block")
                self._resize(self._integer(block, 0x1F))
                continue
            else:
                entry = self._literal(block, 0x0F)
            size += _size(entry)
            if size > MOST_EXCESS * limit:
                raise HTTP2Error(ENHANCE_YOUR_CALM, "field block far above the limit")
            if len(entry) > 2:
                self.malformed = entry
            elif size <= limit:
                fields.append(entry)
        self.size = size
        return fields

    def _integer(self, block: bytes, mask: int) -> int:
        """Read an integer that begins with the bits `mask` of the next byte (RFC 7541 section 5.1)."""
        position = self._position
        value = block[position] & mask
        position += 1
        if value == mask:
            shift = 0
            while True:
                if position >= len(block) or shift == 7 * LONGEST_INTEGER:
                    raise HTTP2Error(COMPRESSION_ERROR, "malformed integer in a field block")
                octet = block[position]
                position += 1
                value += (octet & 0x7F) << shift
                if octet < 0x80:
                    break
                shift += 7
        self._position = position
        return value

    def _string(self, block: bytes) -> bytes:
        if self._position >= len(block):
            raise HTTP2Error(COMPRESSION_ERROR, "incomplete field block")
        is_huffman = block[self._position] & 0x80
        size = self._integer(block, 0x7F)
        start = self._position
        end = start + size
        if end > len(block):
            raise HTTP2Error(COMPRESSION_ERROR, "incomplete field block")
        self._position = end
        text = unhuffman(block, start, end) if is_huffman else cut(block, start, end)
        if text is None:
            raise HTTP2Error(COMPRESSION_ERROR, "malformed Huffman code")
        return text

    def _literal(self, block: bytes, mask: int) -> tuple[Any, ...]:
        index = self._integer(block, mask)
        name = self._entry(index)[0] if index else self._string(block)
        value = self._string(block)
        return (name, value) if is_field(name, value) else (name, value, None)

    def _entry(self, index: int) -> tuple[Any, ...]:
        if index > _STATIC_COUNT:
            count = len(self._entries)
            index -= _STATIC_COUNT
            if index <= count:
                return self._entries[count - index]
        elif index > 0:
            return _STATIC[index]
        raise HTTP2Error(COMPRESSION_ERROR, "index without an entry")

    def _insert(self, entry: tuple[Any, ...]) -> None:
        size = _size(entry)
        self._evict(self._table_limit - size)
        if size <= self._table_limit:
            self._entries.append(entry)
            self._table_size += size

    def _resize(self, limit: int) -> None:
        if limit > TABLE_SIZE:
            raise HTTP2Error(COMPRESSION_ERROR, "table size above its limit")
        self._table_limit = limit
        self._evict(limit)

    def _evict(self, limit: int) -> None:
        """Drop the oldest entries until the table has at most `limit` bytes."""
        count = 0
        entries = self._entries
        while self._table_size > limit and count < len(entries):
            self._table_size -= _size(entries[count])
            count += 1
        if count:
            del entries[:count]


def _size(entry: tuple[Any, ...]) -> int:
    """The size of a field in a table or list (RFC 7541 section 4.1)."""
    name = entry[0]
    value = entry[1]
    return len(name) + len(value) + ENTRY_OVERHEAD
