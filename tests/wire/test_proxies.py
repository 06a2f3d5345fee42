"""Fields of trusted proxies: chains of X-Forwarded-For, Forwarded, hosts and prefixes, on both forms."""

from __future__ import annotations

import asyncio
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware as Theirs

from pronghorn._wire.proxies import KEPT
from pronghorn.config import trusted_proxies
from pronghorn.middleware.proxy_headers import ProxyHeadersMiddleware as Ours
from tests.support.forms import load_form
from tests.support.rig import CLIENT, SERVER, Rig, body, start

TRUSTED = "127.0.0.1, 10.0.0.0/8, 2001:db8:1::/48, proxy.internal, unix"


def proxies(wire: Any, trusted: str = TRUSTED, kind: str = "x-forwarded") -> Any:
    return wire.proxies.Proxies(trusted_proxies.read(trusted), kind)


def ask(wire: Any, fields: str, trusted: str = TRUSTED, kind: str = "x-forwarded", **options: Any) -> dict[str, Any]:
    """The scope of a request with `fields`."""
    target, path = options.pop("target", "/x%20y?q"), options.pop("peer", CLIENT)
    address = options.pop("server", SERVER)
    rig = Rig(wire, client=path, address=address, proxies=proxies(wire, trusted, kind), **options)
    lines = "".join(f"{line.strip()}\r\n" for line in fields.split("\n") if line.strip())
    if "host:" not in lines.lower().replace("-host:", ""):
        lines += "Host: inner:8000\r\n"
    rig.receive(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
    assert not rig.refused
    scope: dict[str, Any] = rig.request.scope
    return scope


def host_of(scope: dict[str, Any]) -> Any:
    found = [value for name, value in scope["headers"] if name == b"host"]
    assert len(found) == 1
    return found[0]


# Trusted peers


@pytest.mark.parametrize(
    ("trusted", "client", "server", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 1), SERVER, True),
        ("127.0.0.1", ("127.0.0.2", 1), SERVER, False),
        ("127.0.0.0/8", ("127.0.0.2", 1), SERVER, True),
        ("0.0.0.0/0", ("9.9.9.9", 1), SERVER, True),
        ("0.0.0.0/0", ("::1", 1), SERVER, False),
        ("::/0", ("::1", 1), SERVER, True),
        ("::1", ("0:0:0:0:0:0:0:1", 1), SERVER, True),
        # The same machine on a socket that serves both families.
        ("127.0.0.1", ("::ffff:127.0.0.1", 1), SERVER, True),
        ("::ffff:10.0.0.0/104", ("10.9.9.9", 1), SERVER, True),
        ("fe80::/10", ("fe80::1%eth0", 1), SERVER, True),
        ("fe80::1%eth0", ("fe80::1%eth0", 1), SERVER, True),
        ("fe80::1%eth0", ("fe80::1%eth1", 1), SERVER, False),
        ("testclient", ("testclient", 1), SERVER, True),
        ("*", ("9.9.9.9", 1), SERVER, True),
        ("*", None, ("/run/s", None), True),
        ("unix", None, ("/run/s", None), True),
        ("unix", None, None, True),
        ("unix", ("127.0.0.1", 1), SERVER, False),
        # A TCP peer that left before its address was read.
        ("unix", None, SERVER, False),
        ("127.0.0.1", None, ("/run/s", None), False),
        ("", ("127.0.0.1", 1), SERVER, False),
    ],
)
def test_trust_depends_on_the_address_of_the_peer(
    wire: Any, trusted: str, client: Any, server: Any, expected: bool
) -> None:
    assert proxies(wire, trusted).trusts_peer(client, server) is expected


def test_fields_of_an_untrusted_peer_are_ignored(wire: Any) -> None:
    scope = ask(wire, "X-Forwarded-For: 1.2.3.4\nX-Forwarded-Proto: https", peer=("9.9.9.9", 5))
    assert (scope["client"], scope["scheme"]) == (("9.9.9.9", 5), "http")
    assert (b"x-forwarded-for", b"1.2.3.4") in scope["headers"]


def test_cached_addresses_are_limited(wire: Any) -> None:
    kept = proxies(wire)
    for number in range(KEPT + 10):
        host = f"9.9.{number >> 8}.{number & 255}"
        assert not kept.trusts(host)
        assert not kept.trusts(host)
    assert not kept.trusts("x" * 1000)
    assert kept.trusts("10.0.0.1")


# X-Forwarded-For and -Proto, compared with uvicorn

AGREED = {
    "1.2.3.4": ("1.2.3.4", 0),
    "1.2.3.4:80": ("1.2.3.4", 80),
    "2001:DB8::1": ("2001:DB8::1", 0),
    "[2001:db8::1]": ("2001:db8::1", 0),
    "[2001:db8::1]:80": ("2001:db8::1", 80),
    "9.9.9.9, 1.2.3.4": ("1.2.3.4", 0),
    "9.9.9.9, 1.2.3.4 ,10.0.0.1": ("1.2.3.4", 0),
    "9.9.9.9, 1.2.3.4:7, [2001:db8:1::9]:44, 10.0.0.1:80": ("1.2.3.4", 7),
    "1.2.3.4, proxy.internal": ("1.2.3.4", 0),
    "1.2.3.4, proxy.internal:80": ("1.2.3.4", 0),
    # Proxies only: the first of them is the client.
    "10.0.0.1:44, 10.0.0.2": ("10.0.0.1", 44),
    # Values invented by the client are ignored.
    "<script>, 1.2.3.4": ("1.2.3.4", 0),
    ", 1.2.3.4": ("1.2.3.4", 0),
    "1.2.3.4,": CLIENT,
    "": CLIENT,
}

# uvicorn's result for values we ignore because they are no addresses.
DIFFERENT = {
    "unknown": ("unknown", 0),
    "<script>": ("<script>", 0),
    "1.2.3.4, unknown, 10.0.0.1": ("unknown", 0),
    "proxy.internal": ("proxy.internal", 0),
    "1.2.3.4:": ("1.2.3.4:", 0),
    "1.2.3.4:x": ("1.2.3.4:x", 0),
    "1.2.3.4:-1": ("1.2.3.4", -1),
    "1.2.3.4: 8_0": ("1.2.3.4", 80),
    "1.2.3.4:65536": ("1.2.3.4", 65536),
    "1.2.3": ("1.2.3", 0),
    "010.0.0.1": ("010.0.0.1", 0),
    "[1.2.3.4]:80": ("1.2.3.4", 80),
    "[2001:db8::1": ("[2001:db8::1", 0),
    "[2001:db8::1]x": ("[2001:db8::1]x", 0),
    "[2001:db8::1]:": ("2001:db8::1", 0),
    "fe80::1%<b>": ("fe80::1%<b>", 0),
    "\xff": ("\xff", 0),
}


def through_middleware(middleware: Any, headers: list[tuple[bytes, bytes]], trusted: Any, **scope: Any) -> Any:
    """The client and scheme after `middleware`."""
    seen = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    scope = {"type": "http", "scheme": "http", "client": CLIENT, "server": SERVER, "headers": headers, **scope}
    asyncio.run(middleware(app, trusted)(scope, None, None))
    return seen.get("client"), seen.get("scheme")


@pytest.mark.parametrize("chain", [*AGREED, *DIFFERENT])
def test_client_is_the_last_untrusted_address_of_a_chain(wire: Any, chain: str) -> None:
    headers = [(b"x-forwarded-for", chain.encode("latin-1"))]
    theirs = through_middleware(Theirs, headers, TRUSTED)[0]
    ours = AGREED.get(chain, CLIENT)
    assert ask(wire, f"X-Forwarded-For: {chain}")["client"] == ours
    assert theirs == DIFFERENT.get(chain, ours)
    assert through_middleware(Ours, headers, TRUSTED)[0] == ours


def test_chain_may_span_several_lines(wire: Any) -> None:
    lines = "X-Forwarded-For: 9.9.9.9\nX-Forwarded-For: 1.2.3.4, 10.0.0.2\nX-Forwarded-For: 10.0.0.1"
    assert ask(wire, lines)["client"] == ("1.2.3.4", 0)


@pytest.mark.parametrize(
    ("chain", "client"),
    [("9.9.9.9, 1.2.3.4", ("9.9.9.9", 0)), ("10.0.0.1:5, 1.2.3.4", ("10.0.0.1", 5)), ("x, 1.2.3.4", CLIENT)],
)
def test_client_is_the_first_address_if_everybody_is_trusted(wire: Any, chain: str, client: Any) -> None:
    assert ask(wire, f"X-Forwarded-For: {chain}", "*")["client"] == client


def test_unix_peer_is_accepted_as_nginx_names_it(wire: Any) -> None:
    assert ask(wire, "X-Forwarded-For: 1.2.3.4, unix:")["client"] == ("1.2.3.4", 0)
    assert ask(wire, "X-Forwarded-For: 1.2.3.4, unix:", "127.0.0.1")["client"] == CLIENT


SCHEMES = {
    ("http",): "http",
    ("https",): "https",
    ("HTTPS",): "http",
    ("https, http",): "http",
    ("",): "http",
    ("ftp",): "http",
    ("https", "https"): "https",
    ("http", "https"): "https",
    ("https", "http"): "http",
    ("https", "ftp"): "http",
}


@pytest.mark.parametrize("values", SCHEMES)
def test_scheme_comes_from_x_forwarded_proto(wire: Any, values: tuple[str, ...]) -> None:
    fields = [(b"x-forwarded-proto", value.encode()) for value in values]
    expected = SCHEMES[values]
    assert ask(wire, "\n".join(f"X-Forwarded-Proto: {value}" for value in values))["scheme"] == expected
    assert through_middleware(Theirs, fields, "127.0.0.1") == (CLIENT, expected)
    assert through_middleware(Ours, fields, "127.0.0.1") == (CLIENT, expected)
    websocket = {"type": "websocket", "scheme": "ws"}
    in_a_websocket = expected.replace("http", "ws")
    assert through_middleware(Theirs, fields, "127.0.0.1", **websocket) == (CLIENT, in_a_websocket)
    assert through_middleware(Ours, fields, "127.0.0.1", **websocket) == (CLIENT, in_a_websocket)


def test_websocket_scheme_of_a_request_becomes_that_of_http(wire: Any) -> None:
    """uvicorn sets the scheme wss in an HTTP scope, which ASGI does not allow."""
    assert ask(wire, "X-Forwarded-Proto: wss")["scheme"] == "https"
    assert ask(wire, "X-Forwarded-Proto: ws")["scheme"] == "http"


# Without IPv4-mapped IPv6 addresses, which uvicorn treats as different ones.
ip_addresses = st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None).map(str)
addresses = ip_addresses | st.sampled_from(["127.0.0.1", "10.1.2.3", "2001:db8:1::7", "proxy.internal"])
ports = st.integers(1, 65535)
nodes = addresses | st.builds(
    lambda host, port: f"[{host}]:{port}" if ":" in host else f"{host}:{port}", addresses, ports
)


@pytest.mark.parametrize("form", ["compiled", "interpreted"])
@given(chain=st.lists(nodes, min_size=1, max_size=5), everybody=st.booleans())
def test_valid_chains_are_read_as_by_uvicorn(form: str, chain: list[str], everybody: bool) -> None:
    trusted = "*" if everybody else TRUSTED
    headers = [(b"x-forwarded-for", ", ".join(chain).encode())]
    theirs = through_middleware(Theirs, headers, trusted)[0]
    if theirs[0] == "proxy.internal":
        theirs = None
    assert proxies(load_form(form), trusted).origin(headers).client == theirs


pieces = st.sampled_from([*',;=:[]"\\ _.%f0', "for=", "proto=https", "host=a", "1.2.3.4", "[::1]", "10.0.0.1"])


@given(
    value=st.lists(pieces | st.text(string.printable, max_size=3), max_size=12).map("".join),
    name=st.sampled_from(
        ["forwarded", *(f"x-forwarded-{each}" for each in ("for", "proto", "host", "port", "prefix"))]
    ),
    kind=st.sampled_from(["x-forwarded", "x-forwarded-all", "forwarded"]),
)
def test_any_fields_give_both_forms_the_same_valid_client(value: str, name: str, kind: str) -> None:
    seen = []
    for form in ("interpreted", "compiled"):
        wire = load_form(form)
        origin = proxies(wire, kind=kind).origin([(name.encode(), value.encode())])
        if origin is not None:
            assert origin.client is None or (wire.forwarded.pack(origin.client[0]) and 0 <= origin.client[1] <= 65535)
        seen.append(origin and (origin.client, origin.scheme, origin.host, origin.port, origin.prefix))
    assert seen[0] == seen[1]


# X-Forwarded-Host, -Port and -Prefix


@pytest.mark.parametrize(
    ("fields", "host", "server"),
    [
        ("X-Forwarded-Host: example.org", b"example.org", ("example.org", 80)),
        ("X-Forwarded-Host: example.org:81", b"example.org:81", ("example.org", 81)),
        ("X-Forwarded-Host: [2001:db8::1]:81", b"[2001:db8::1]:81", ("2001:db8::1", 81)),
        ("X-Forwarded-Host: example.org\nX-Forwarded-Proto: https", b"example.org", ("example.org", 443)),
        ("X-Forwarded-Host: example.org\nX-Forwarded-Host: example.org", b"example.org", ("example.org", 80)),
        ("X-Forwarded-Host: example.org\nX-Forwarded-Port: 81", b"example.org:81", ("example.org", 81)),
        ("X-Forwarded-Host: example.org:81\nX-Forwarded-Port: 81", b"example.org:81", ("example.org", 81)),
        (
            "X-Forwarded-Host: example.org\nX-Forwarded-Port: 443\nX-Forwarded-Proto: https",
            b"example.org",
            ("example.org", 443),
        ),
        ("Host: inner:8000\nX-Forwarded-Port: 81", b"inner:81", ("inner", 81)),
        ("Host: [::1]:8000\nX-Forwarded-Port: 80", b"[::1]", ("::1", 80)),
        ("Host: inner\nX-Forwarded-Port: 80", b"inner", ("inner", 80)),
        # Ambiguous or malformed values.
        ("X-Forwarded-Host: a.org, b.org", b"inner:8000", SERVER),
        ("X-Forwarded-Host: a.org,b.org", b"inner:8000", SERVER),
        ("X-Forwarded-Host: a.org\nX-Forwarded-Host: b.org", b"inner:8000", SERVER),
        ("X-Forwarded-Host: a.org:81\nX-Forwarded-Port: 82", b"inner:8000", SERVER),
        ("X-Forwarded-Host: a.org:99999", b"inner:8000", SERVER),
        ("X-Forwarded-Host: :81", b"inner:8000", SERVER),
        ("X-Forwarded-Host: a/b", b"inner:8000", SERVER),
        ("X-Forwarded-Host: ", b"inner:8000", SERVER),
        ("X-Forwarded-Port: 81, 82", b"inner:8000", SERVER),
        ("X-Forwarded-Port: 81\nX-Forwarded-Port: 82", b"inner:8000", SERVER),
        ("X-Forwarded-Port: 0", b"inner:8000", SERVER),
        ("X-Forwarded-Port: 65536", b"inner:8000", SERVER),
        ("X-Forwarded-Port: +81", b"inner:8000", SERVER),
    ],
)
def test_host_and_port_come_from_x_forwarded_fields(wire: Any, fields: str, host: bytes, server: Any) -> None:
    scope = ask(wire, fields, kind="x-forwarded-all")
    assert (host_of(scope), scope["server"]) == (host, server)


def test_request_without_host_gets_the_forwarded_one(wire: Any) -> None:
    rig = Rig(wire, proxies=proxies(wire, kind="x-forwarded-all"))
    rig.receive(b"GET / HTTP/1.0\r\nX-Forwarded-Host: a.org\r\n\r\n")
    assert host_of(rig.request.scope) == b"a.org"


def test_forwarded_port_without_any_host_is_ignored(wire: Any) -> None:
    rig = Rig(wire, proxies=proxies(wire, kind="x-forwarded-all"))
    rig.receive(b"GET / HTTP/1.0\r\nX-Forwarded-Port: 444\r\n\r\n")
    scope = rig.request.scope
    assert (b"host" in dict(scope["headers"]), scope["server"]) == (False, ("127.0.0.1", 8000))


@pytest.mark.parametrize(
    ("prefix", "root_path", "path", "raw_path"),
    [
        ("/api", "/api", "/api/x y", b"/api/x%20y"),
        ("/api/", "/api", "/api/x y", b"/api/x%20y"),
        ("/a/b%20c", "/a/b c", "/a/b c/x y", b"/a/b%20c/x%20y"),
        *[
            (malformed, "", "/x y", b"/x%20y")
            for malformed in ("", "/", "api", "//evil.org", "/a//b", "/a, /b", "/a/../b", "/%2e%2e", "/a?b", "/a b")
        ],
    ],
)
def test_prefix_becomes_part_of_the_root_path(
    wire: Any, prefix: str, root_path: str, path: str, raw_path: bytes
) -> None:
    scope = ask(wire, f"X-Forwarded-Prefix: {prefix}", kind="x-forwarded-all")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (root_path, path, raw_path)
    assert scope["query_string"] == b"q"


def test_prefix_does_not_replace_the_configured_root_path(wire: Any) -> None:
    scope = ask(wire, "X-Forwarded-Prefix: /api", kind="x-forwarded-all", root_path="/own")
    assert (scope["root_path"], scope["path"]) == ("/own", "/own/x y")


def test_prefix_does_not_change_the_asterisk_form(wire: Any) -> None:
    rig = Rig(wire, proxies=proxies(wire, kind="x-forwarded-all"))
    rig.receive(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Forwarded-Prefix: /api\r\n\r\n")
    assert rig.request.scope["path"] == "*"


# Forwarded


@pytest.mark.parametrize(
    ("fields", "client", "scheme", "host"),
    [
        ("for=1.2.3.4;proto=https;by=203.0.113.43", ("1.2.3.4", 0), "https", None),
        ('For="[2001:db8::17]:4711";Host="a.org:81";PROTO=HTTPS', ("2001:db8::17", 4711), "https", b"a.org:81"),
        ("for=1.2.3.4:80", ("1.2.3.4", 80), "http", None),
        ('for="1.2.3.4:_port"', ("1.2.3.4", 0), "http", None),
        # The element of the proxy next to the client counts, whatever later proxies add.
        (
            "for=1.2.3.4;proto=https;host=a.org, for=10.0.0.1;proto=http;host=inner",
            ("1.2.3.4", 0),
            "https",
            b"a.org",
        ),
        ("for=9.9.9.9;proto=https, for=1.2.3.4 ; proto=http", ("1.2.3.4", 0), "http", None),
        ("for=10.0.0.1;proto=https, for=10.0.0.2", ("10.0.0.1", 0), "https", None),
        ("for=1.2.3.4;proto=https,,for=10.0.0.2;;", ("1.2.3.4", 0), "https", None),
        # An undisclosed client: the other parameters of its proxy still count.
        ("for=1.2.3.4, for=_hidden;proto=https", CLIENT, "https", None),
        ("for=unknown;proto=https", CLIENT, "https", None),
        ("proto=https", CLIENT, "https", None),
        ('for=1.2.3.4;proto=ftp;host="a/b"', ("1.2.3.4", 0), "http", None),
        # A malformed line that was passed on does not affect the proxy's own.
        ('for="\nForwarded: for=1.2.3.4;proto=https', ("1.2.3.4", 0), "https", None),
        # Ambiguous or malformed values.
        ('for=", for=1.2.3.4;proto=https', CLIENT, "http", None),
        ("for=1.2.3.4;for=2.3.4.5;proto=https", CLIENT, "http", None),
        ("for=1.2.3.4;host=a/b", CLIENT, "http", None),
        ("for=1.2.3.4 proto=https", CLIENT, "http", None),
        ("for = 1.2.3.4;proto=https", CLIENT, "http", None),
        ("1.2.3.4", CLIENT, "http", None),
        ('for="2001:db8::1";proto=https', CLIENT, "https", None),
        ("", CLIENT, "http", None),
    ],
)
def test_forwarded_sets_client_scheme_and_host(
    wire: Any, fields: str, client: Any, scheme: str, host: bytes | None
) -> None:
    scope = ask(wire, f"Forwarded: {fields}", kind="forwarded")
    assert (scope["client"], scope["scheme"], host_of(scope)) == (client, scheme, host or b"inner:8000")


def test_first_forwarded_element_counts_if_everybody_is_trusted(wire: Any) -> None:
    scope = ask(wire, "Forwarded: for=9.9.9.9;proto=https\nForwarded: for=1.2.3.4", "*", kind="forwarded")
    assert (scope["client"], scope["scheme"]) == (("9.9.9.9", 0), "https")


ALL = """
    X-Forwarded-For: 1.1.1.1
    X-Forwarded-Host: x.org
    X-Forwarded-Port: 81
    X-Forwarded-Prefix: /x
    Forwarded: for=2.2.2.2;host=f.org
"""


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("x-forwarded", ("1.1.1.1", b"inner:8000", "")),
        ("x-forwarded-all", ("1.1.1.1", b"x.org:81", "/x")),
        ("forwarded", ("2.2.2.2", b"f.org", "")),
    ],
)
def test_only_the_configured_fields_are_read(wire: Any, kind: str, expected: Any) -> None:
    scope = ask(wire, ALL, kind=kind)
    assert (scope["client"][0], host_of(scope), scope["root_path"]) == expected


# On a connection


def test_each_request_of_a_connection_has_its_own_client(wire: Any) -> None:
    rig = Rig(wire, proxies=proxies(wire))
    seen = []
    for fields in (b"X-Forwarded-For: 1.2.3.4:5\r\nX-Forwarded-Proto: https\r\n", b"", b"X-Forwarded-For: 2.3.4.5\r\n"):
        rig.receive(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        scope = rig.request.scope
        seen.append((scope["client"], scope["scheme"], rig.request.client_text, rig.connection.peer_text))
        start(rig.request, status=204)
        body(rig.request)
    peer = "127.0.0.1:50000"
    assert seen == [
        (("1.2.3.4", 5), "https", "1.2.3.4:5", peer),
        (CLIENT, "http", peer, peer),
        (("2.3.4.5", 0), "http", "2.3.4.5:0", peer),
    ]


def test_no_field_is_read_without_trusted_proxies(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n")
    assert (rig.request.scope["client"], rig.request.scope["scheme"]) == (CLIENT, "http")


# The list of trusted proxies


def test_members_that_match_nobody_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    assert trusted_proxies.read("10.0.0.1/8, *,") == ["10.0.0.1/8", "*"]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["forwarded_allow_ips"] * 2
    assert "'10.0.0.1/8'" in caplog.text
    assert "'*'" in caplog.text


def test_valid_members_are_parsed() -> None:
    listed = ["10.0.0.0/8", " ::1 ", "2001:db8::/32", "unix"]
    assert trusted_proxies.read(listed) == [
        (b"\x0a\0\0\0", 8),
        "::1",
        (bytes.fromhex("20010db8") + bytes(12), 32),
        "unix",
    ]
    assert trusted_proxies.read(",".join(listed)) == trusted_proxies.read(listed)
    assert trusted_proxies.read(" * ") == ["*"]


def test_ipv6_network_is_not_mistaken_for_ipv4() -> None:
    assert trusted_proxies.read("2001:db8::/100") == [(bytes.fromhex("20010db8") + bytes(12), 100)]


def test_middleware_does_not_change_requests_without_proxy_fields() -> None:
    assert through_middleware(Ours, [], "127.0.0.1") == (CLIENT, "http")


def test_middleware_does_not_change_lifespan_and_untrusted_requests() -> None:
    headers = [(b"x-forwarded-for", b"1.2.3.4")]
    assert through_middleware(Ours, headers, "10.0.0.1") == (CLIENT, "http")
    assert through_middleware(Ours, headers, ["127.0.0.1"], client=list(CLIENT), server=None) == (
        ("1.2.3.4", 0),
        "http",
    )
    assert through_middleware(Ours, headers, "127.0.0.1", client=None) == (None, "http")
    assert through_middleware(Ours, headers, "*", type="lifespan") == (CLIENT, "http")
