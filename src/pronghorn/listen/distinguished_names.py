"""The names in certificates, as text (RFC 4514), read from their DER (X.690)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

# The tags of `TBSCertificate` (RFC 5280 section 4.1): its version may be missing.
_VERSION = 0xA0
# The position of the subject among its fields, without the version.
_SUBJECT = 4

# The short names of attribute types (RFC 4514 section 3), by the DER of their object identifiers.
_SHORT_NAMES = {
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("550409"): "STREET",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("0992268993f22c640101"): "UID",
    bytes.fromhex("0992268993f22c640119"): "DC",
}

# The encodings of string types, by their tags.
_ENCODINGS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString, as everybody uses it
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}

_SPECIAL = {**{ord(character): f"\\{character}" for character in '"+,;<>\\'}, 0: "\\00"}


class _Element(NamedTuple):
    """An element of DER: its tag, its content, and both with the length in between."""

    tag: int
    content: bytes
    encoded: bytes


def subject(certificate: bytes) -> str:
    """The subject of a certificate in DER, which OpenSSL has accepted: its parts in reverse order (section 2.1)."""
    (whole,) = _elements(certificate)
    signed, *_ = _elements(whole.content)
    fields = list(_elements(signed.content))
    if fields[0].tag == _VERSION:
        del fields[0]
    parts = list(_elements(fields[_SUBJECT].content))
    return ",".join("+".join(map(_attribute, _elements(part.content))) for part in reversed(parts))


def _attribute(element: _Element) -> str:
    kind, value = _elements(element.content)
    name, text = _SHORT_NAMES.get(kind.content), _text(value)
    if name is not None and text is not None:
        return f"{name}={_escape(text)}"
    # Without a short name the value has to be in hexadecimal too (section 2.4).
    return f"{name or _dotted(kind.content)}=#{value.encoded.hex()}"


def _text(value: _Element) -> str | None:
    """The string that `value` encodes; None if it is no string."""
    encoding = _ENCODINGS.get(value.tag)
    try:
        return None if encoding is None else value.content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _escape(text: str) -> str:
    escaped = text.translate(_SPECIAL)
    if text.startswith((" ", "#")):
        escaped = "\\" + escaped
    if text.endswith(" ") and len(text) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped


def _dotted(identifier: bytes) -> str:
    """An object identifier as numbers (X.690 section 8.19)."""
    numbers, number = [], 0
    for byte in identifier:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - first * 40, *numbers[1:]]))


def _elements(data: bytes) -> Iterator[_Element]:
    start = 0
    while start < len(data):
        size, content = data[start + 1], start + 2
        if size & 0x80:
            content += size & 0x7F
            size = int.from_bytes(data[start + 2 : content], "big")
        end = content + size
        yield _Element(data[start], data[content:end], data[start:end])
        start = end
