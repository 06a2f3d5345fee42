"""The head of a request from its fields (RFC 9113 section 8). Most cases are in the corpus of frames."""

from __future__ import annotations

from typing import Any

METHOD, SCHEME, AUTHORITY, PATH = (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")
PSEUDO = (METHOD, SCHEME, AUTHORITY, PATH)
EXTENDED = ((b":method", b"CONNECT"), (b":protocol", b"websocket"), SCHEME, AUTHORITY, PATH)


def read(wire: Any, *fields: tuple[bytes, bytes], ends: bool = True, **limits: int) -> Any:
    return wire.http2.fields.read_head(list(fields), ends, wire.shared.Limits(**limits))


def test_extended_connect_names_its_protocol(wire: Any) -> None:
    head = read(wire, *EXTENDED, ends=False)
    assert (head.method, head.upgrade, head.path) == ("CONNECT", b"websocket", "/")


def test_crumbs_count_as_one_field(wire: Any) -> None:
    head = read(wire, *PSEUDO, *[(b"cookie", b"%d" % index) for index in range(256)], (b"x", b"y"), head_fields=2)
    assert len(head.headers) == 3
