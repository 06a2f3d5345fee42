"""Certificates by server name: the notation, and the choice."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from pronghorn.listen import server_names
from pronghorn.listen.server_names import Named


def test_names_and_files_are_parsed() -> None:
    assert server_names.parse(["Example.org=a.pem,a=b.key", "*.example.org=both.pem", "xn--nxasmq6b=c,d"]) == [
        Named("example.org", "a.pem", "a=b.key"),
        Named("*.example.org", "both.pem", None),
        Named("xn--nxasmq6b", "c", "d"),
    ]


@pytest.mark.parametrize("text", ["", "example.org", "example.org=", "a=,b", "a=b,", "a=b,c,d"])
def test_entry_without_name_and_files_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME=CERT,KEY"):
        server_names.parse([text])


@pytest.mark.parametrize(
    "name",
    ["", "*", "*.", "a.*.org", "*a.org", "*.*.org", "a..org", ".org", "127.0.0.1", "::1", "bücher.de", "a b", "x" * 64],
)
def test_name_that_no_client_sends_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a host name"):
        server_names.parse([f"{name}=cert,key"])


def test_long_name_is_refused() -> None:
    longest = ".".join(["a" * 62] * 4)  # 251 characters
    assert server_names.parse([f"{longest}=cert,key"])[0].name == longest
    with pytest.raises(ValueError, match="is not a host name"):
        server_names.parse([f"{longest}.ab=cert,key"])


def test_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^\*\.a\.org has two certificates"):
        server_names.parse(["*.a.org=1,2", "a.org=3,4", "*.A.org=5,6"])


class Handshake:
    context: Any = None


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("example.org", "exact"),
        ("EXAMPLE.org", "exact"),
        ("a.example.org", "wildcard"),
        ("*.example.org", "wildcard"),
        ("www.example.org", "nearer"),
        ("a.b.example.org", None),
        ("example.com", None),
        ("org", None),
        ("", None),
        (None, None),
    ],
)
def test_name_chooses_context(asked: str | None, chosen: str | None) -> None:
    contexts = {each: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for each in ("exact", "wildcard", "nearer")}
    names = {"example.org": "exact", "*.example.org": "wildcard", "www.example.org": "nearer"}
    default = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls: Any = Handshake()
    choose = server_names.chooser({name: contexts[each] for name, each in names.items()})
    assert choose(tls, asked, default) is None  # type: ignore[func-returns-value] # anything else is an alert
    assert tls.context is (None if chosen is None else contexts[chosen])
