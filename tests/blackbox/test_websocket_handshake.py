"""The opening handshake of a WebSocket over real sockets: refusals, acceptance and the application's messages."""

import json
import tempfile

import pytest

from tests.support.raw_websocket import CLOSE, TEXT, Noted, Socket, accepted, close_payload, frame, handshake
from tests.support.server import Process


@pytest.fixture
def server(shared_servers, form):
    return shared_servers("websocket_app:app", form)


def send_handshake(connect, server, *arguments, **replaced):
    """Connect a client and send a handshake."""
    client = connect(server)
    client.send(handshake(*arguments, **replaced))
    return client


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_version": "8"}, 426),
        ({"sec_websocket_version": "12, 13"}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25j"}, 400),
        ({"sec_websocket_key": "?" * 22 + "=="}, 400),
        ({"sec_websocket_key": ""}, 400),
        ({"sec_websocket_protocol": "a b"}, 400),
        ({"sec_websocket_extensions": "permessage-deflate; ="}, 400),
        ({"content_length": "4"}, 400),
        ({"method": "POST"}, 400),
    ],
)
def test_invalid_handshake_is_refused(server, connect, fields, status):
    client = send_handshake(connect, server, **fields)
    answer = client.read()
    assert answer.status == status
    assert answer.field("connection") == "close"
    assert answer.field("sec-websocket-version") == ("13" if status == 426 else None)
    assert "upgrade" not in answer.fields or status == 426
    assert client.rest() == b""


def test_two_keys_are_refused(server, connect):
    assert send_handshake(connect, server, "/echo", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==").read().status == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"upgrade": "WebSocket"},
        {"upgrade": "foo/1, websocket"},
        {"connection": "keep-alive, UPGRADE"},
        {"connection": "Upgrade,,"},
    ],
)
def test_tokens_may_be_lists_in_any_case(server, connect, fields):
    Socket(connect(server), **fields).finish()


@pytest.mark.parametrize("fields", [{"upgrade": None}, {"upgrade": "h2c"}, {"connection": "keep-alive"}])
def test_incomplete_handshake_is_ordinary_request(server, connect, fields):
    client = send_handshake(connect, server, "/show", **fields)
    answer = client.read()
    assert answer.status == 200
    assert json.loads(answer.body)["type"] == "http"
    client.get("/")
    assert client.read().body == b"hello"


@pytest.mark.parametrize("flags", [("--ws", "none"), ("--interface", "wsgi")])
def test_websockets_can_be_turned_off(start, connect, flags):
    app = "websocket_app:app"
    if "wsgi" in flags:
        pytest.importorskip("a2wsgi")
        app = "asgi2_and_wsgi:wsgi"
    answer = send_handshake(connect, start(app, *flags), "/show").read()
    assert answer.status == 200
    assert "sec-websocket-accept" not in answer.fields


@pytest.mark.parametrize("name", ["websockets", "websockets-sansio", "wsproto"])
def test_names_of_other_implementations_select_ours(start, connect, name):
    Socket(connect(start("websocket_app:app", "--ws", name))).finish()


def test_response_to_handshake_has_required_fields(server, connect):
    socket = Socket(connect(server))
    assert socket.answer.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    fields = socket.answer.head.decode().split("\r\n")[1:4]
    assert fields == ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accepted()}"]
    assert not {"sec-websocket-protocol", "sec-websocket-extensions", "content-length"} & set(socket.answer.fields)
    socket.finish()


def test_response_is_spelt_as_by_uvicorn(server, connect):
    """Some clients on small devices compare field names case-sensitively."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("websockets")
    theirs = Process("websocket_app:app", "--port", "0", "--ws", "websockets-sansio", module="uvicorn")
    try:
        theirs.wait_until_running()
        offer = ("sec-websocket-protocol: one", "sec-websocket-extensions: permessage-deflate")
        heads = [Socket(connect(each), "/greet?subprotocol=one", *offer).answer.head for each in (theirs, server)]
    finally:
        theirs.end()
    expected, spelt = ({line.split(b":")[0] for line in head.split(b"\r\n")[1:]} - {b"server"} for head in heads)
    assert {b"Upgrade", b"Connection", b"Sec-WebSocket-Accept", b"Sec-WebSocket-Protocol"} < expected
    assert spelt == expected


def test_response_has_default_fields(start, connect):
    server = start("websocket_app:app", "--header", "x-mine: yes")
    answer = Socket(connect(server)).answer
    assert answer.field("x-mine") == "yes"
    assert answer.field("server") == "pronghorn"
    assert answer.field("date").endswith(" GMT")


def test_chosen_subprotocol_is_sent(server, connect):
    socket = Socket(
        connect(server), "/greet?subprotocol=two", "sec-websocket-protocol: one,two", "sec-websocket-protocol: three"
    )
    assert socket.answer.field("sec-websocket-protocol") == "two"
    assert json.loads(socket.read_text())["subprotocols"] == ["one", "two", "three"]


def test_subprotocol_may_be_offered_twice(server, connect):
    socket = Socket(connect(server), "/greet?subprotocol=one", "sec-websocket-protocol: one, two, one")
    assert b"\r\nSec-WebSocket-Protocol: one\r\n" in socket.answer.head
    assert json.loads(socket.read_text())["subprotocols"] == ["one", "two", "one"]


@pytest.mark.parametrize("name", ["Server", "date"])
def test_application_may_set_server_and_date(server, connect, name):
    assert Socket(connect(server), f"/greet?header={name}:mine").answer.fields[name.lower()] == ["mine"]


def test_application_may_choose_no_subprotocol(server, connect):
    socket = Socket(connect(server), "/greet", "sec-websocket-protocol: one")
    assert "sec-websocket-protocol" not in socket.answer.fields


def test_header_fields_of_application_are_sent(server, connect):
    socket = Socket(connect(server), "/greet?header=X-Mine:a%20value")
    assert [value for name, value in socket.answer.fields.items() if name.lower() == "x-mine"] == [["a value"]]
    assert socket.answer.fields["set-cookie"] == ["a=1", "b=2"]


def test_scope_has_every_key(start, connect, form):
    server = start("websocket_app:app", "--root-path", "/below", form=form)
    client = connect(server)
    host, port = client.socket.getsockname()
    socket = Socket(client, "/a%20path/%C3%BC?a=%20b&c", "X-Mine: one", "x-mine: two", "sec-websocket-protocol: one")
    scope = json.loads(socket.read_text())
    headers = scope.pop("headers")
    assert [value for name, value in headers if name == "x-mine"] == ["one", "two"]
    assert ["sec-websocket-version", "13"] in headers
    assert scope.pop("asgi")["spec_version"] == "2.5"
    extensions = scope.pop("extensions")
    assert extensions["websocket.http.response"] == {}
    assert scope == {
        "type": "websocket",
        "http_version": "1.1",
        "scheme": "ws",
        "server": ["127.0.0.1", server.port],
        "client": [host, port],
        "root_path": "/below",
        "path": "/below/a path/ü",
        "raw_path": repr(b"/below/a%20path/%C3%BC"),
        "query_string": repr(b"a=%20b&c"),
        "subprotocols": ["one"],
        "state": {"word": "from the lifespan"},
    }


def test_each_socket_has_copy_of_state(server, connect):
    states = [json.loads(Socket(connect(server), "/greet").read_text())["state"] for _ in range(2)]
    assert states == [{"word": "from the lifespan"}] * 2


def test_application_may_accept_before_receive(server, connect):
    socket = Socket(connect(server), "/accept-at-once")
    assert socket.read_text() == "websocket.connect"
    assert socket.read_close() == (1000, "")


def test_close_before_accept_is_answered_403(server, connect):
    client = send_handshake(connect, server, "/refuse?name=shared")
    answer = client.read()
    assert (answer.status, answer.body) == (403, b"")
    assert answer.field("connection") == "close"
    assert client.rest() == b""


def test_application_gets_disconnect_after_403(server, connect):
    noted = Noted(connect, server)
    send_handshake(connect, server, f"/refuse?name={noted.name}").read()
    first, again, *errors = noted.at_end()
    assert first["type"] == "websocket.disconnect"
    assert again == first
    assert errors == ["ClientDisconnected"] * 2


def test_denial_response_is_sent(server, connect):
    noted = Noted(connect, server)
    answer = send_handshake(connect, server, f"/deny?name={noted.name}").read()
    assert (answer.status, answer.body) == (401, b"who are you?")
    assert answer.field("www-authenticate") == "Basic"
    assert answer.field("content-type") == "text/plain"
    assert answer.field("content-length") == "12"
    first, again, *errors = noted.at_end()
    assert first["type"] == "websocket.disconnect"
    assert again == first
    assert errors == ["ClientDisconnected"] * 2


@pytest.mark.parametrize("how", ["error", "return", "exit"])
def test_failure_before_accept_is_answered_500(server, connect, how):
    client = send_handshake(connect, server, f"/fail?when=before&how={how}")
    answer = client.read()
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert answer.field("connection") == "close"
    assert client.rest() == b""


@pytest.mark.parametrize(
    "how",
    [
        "early",
        "subprotocol",
        "split",
        *(f"header&header={name}" for name in ("Upgrade", "sec-websocket-accept", "connection")),
    ],
)
def test_invalid_accept_is_answered_500(server, connect, how):
    assert send_handshake(connect, server, f"/misuse?how={how}").read().status == 500


def test_frames_sent_with_handshake_are_received(server, connect):
    client = connect(server)
    client.send(handshake() + frame(TEXT, b"first") + frame(TEXT, b"second"))
    assert client.read_head().status == 101
    assert client.rest_until(b"second") == b"\x81\x05first" + b"\x81\x06second"
    client.send(frame(CLOSE, close_payload(1000)))
    assert client.rest() == b"\x88\x02\x03\xe8"


def test_frames_sent_before_accept_are_received(server, connect):
    noted = Noted(connect, server)
    client = connect(server)
    client.send(handshake(f"/slow-accept?name={noted.name}") + frame(TEXT, b"early"))
    noted.wait("-runs")
    assert client.is_silent()
    noted.set()
    assert client.read_head().status == 101
    noted.wait("-done")
    assert noted.so_far() == [{"type": "websocket.receive", "text": "early"}]


def test_disconnect_before_accept_is_reported(start, connect, form):
    server = start("websocket_app:app", form=form)
    noted = Noted(connect, server)
    client = send_handshake(connect, server, f"/slow-accept?name={noted.name}")
    noted.wait("-runs")
    client.close()
    noted.set()
    noted.wait("-done")
    disconnect = noted.so_far()[-1]
    assert (disconnect["type"], disconnect["code"]) == ("websocket.disconnect", 1006)
    assert "Traceback" not in server.log.text()


def test_handshake_behind_running_request_is_answered_after_it(server, connect):
    noted = Noted(connect, server)
    client = connect(server)
    client.get(f"/head-first?name={noted.name}")
    client.send(handshake() + frame(TEXT, b"hello"))
    assert client.read_head().status == 200
    noted.set()
    assert client.rest_until(b"0\r\n\r\n").endswith(b"late body\r\n0\r\n\r\n")
    assert client.read_head().status == 101
    assert client.rest_until(b"hello") == b"\x81\x05hello"


def test_handshake_may_follow_requests_on_one_connection(server, connect):
    client = connect(server)
    for _ in range(3):
        client.get("/")
        assert client.read().body == b"hello"
    Socket(client).finish()


def test_websocket_works_over_unix_socket(start, connect, form):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        start("websocket_app:app", "--uds", path, form=form)
        socket = Socket(connect(path), "/greet")
        scope = json.loads(socket.read_text())
        assert scope["client"] is None
        assert scope["server"] == [path, None]
        socket.finish()
