"""Single exchanges over a raw connection: the bytes on the wire, and the messages of `receive` and `send`."""

import email.utils
import json

import pytest


def exchange(connect, server, target, *fields, **how):
    client = connect(server)
    client.get(target, *fields, **how)
    return client.read(without_body=how.get("method") == "HEAD")


def wait(connect, server, name):
    return json.loads(exchange(connect, server, f"/wait?name={name}").body)


def test_variant_uses_its_form_and_loop(asgi, variant, connect):
    form, loop = variant
    told = json.loads(exchange(connect, asgi, "/form").body)
    assert told["form"] == ("pronghorn._wire_c.request" if form == "compiled" else "pronghorn._wire.request")
    assert told["loop"].split(".")[0] == loop


def test_application_runs_in_named_task(asgi, connect):
    told = json.loads(exchange(connect, asgi, "/form").body)
    assert told["task"] is True
    assert told["name"]


def test_response_has_date_server_and_lower_cased_fields(asgi, connect):
    answer = exchange(connect, asgi, "/")
    assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert email.utils.parsedate(answer.field("date"))
    assert answer.field("server") == "pronghorn"
    assert answer.field("connection") is None
    assert answer.body == b"hello"


@pytest.mark.parametrize("code", [204, 304, 404, 500])
def test_every_status_has_date(asgi, connect, code):
    assert exchange(connect, asgi, f"/status?code={code}").field("date")


@pytest.mark.parametrize("code", [204, 304])
def test_response_without_body_has_no_framing(asgi, connect, code):
    client = connect(asgi)
    client.get(f"/status?code={code}")
    answer = client.read()
    assert "content-length" not in answer.fields
    assert "transfer-encoding" not in answer.fields
    client.get("/")
    assert client.read().body == b"hello"


def test_refusal_has_date_and_closes(asgi, connect):
    client = connect(asgi)
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    answer = client.read()
    assert answer.status == 400
    assert answer.body == b"Invalid HTTP request received."
    assert answer.field("content-type") == "text/plain; charset=utf-8"
    assert answer.field("connection") == "close"
    assert answer.field("date")
    assert client.rest() == b""


def test_response_to_head_keeps_length_without_body(asgi, connect):
    client = connect(asgi)
    client.get("/", method="HEAD")
    assert client.read(without_body=True).field("content-length") == "5"
    client.get("/")
    assert client.read().body == b"hello"


def test_streamed_response_to_head_has_no_body(asgi, connect):
    client = connect(asgi)
    client.get("/stream?count=3", method="HEAD")
    assert client.read(without_body=True).status == 200
    client.get("/")
    assert client.read().body == b"hello"


def test_body_without_length_is_chunked_for_http11(asgi, connect):
    answer = exchange(connect, asgi, "/stream?count=2")
    assert answer.field("transfer-encoding") == "chunked"
    assert len(answer.body) == 131072


def test_body_without_length_ends_with_connection_for_http10(asgi, connect):
    client = connect(asgi)
    client.get("/stream?count=2", version="1.0")
    answer = client.read()
    assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert "transfer-encoding" not in answer.fields
    assert answer.field("connection") == "close"
    assert len(answer.body) == 131072


def test_http10_keeps_alive_on_request(asgi, connect):
    client = connect(asgi)
    client.get("/", "connection: keep-alive", version="1.0")
    assert client.read().field("connection") == "keep-alive"
    client.get("/", version="1.0")
    assert client.read().field("connection") == "close"
    assert client.rest() == b""


def test_scope_has_every_key(asgi, connect):
    client = connect(asgi)
    client.get("/some%20where/%2F?q=%41", "X-Twice: 1", "x-twice: 2")
    scope = json.loads(client.read().body)
    host, port = client.socket.getsockname()
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "GET"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/some where//"
    assert scope["raw_path"] == repr(b"/some%20where/%2F")
    assert scope["query_string"] == repr(b"q=%41")
    assert scope["root_path"] == ""
    assert scope["headers"] == [["host", "test"], ["x-twice", "1"], ["x-twice", "2"]]
    assert scope["client"] == [host, port]
    assert scope["server"] == ["127.0.0.1", asgi.port]
    assert scope["state"] == {}
    assert set(scope["extensions"]) == {
        "http.response.early_hint",
        "http.response.trailers",
    }


@pytest.mark.parametrize(("target", "path"), [("*", "*"), ("http://test/absolute?x", "/absolute")])
def test_asterisk_and_absolute_targets_are_served(asgi, connect, target, path):
    answer = exchange(connect, asgi, target, method="OPTIONS" if target == "*" else "GET")
    assert json.loads(answer.body)["path"] == path


@pytest.mark.parametrize(("version", "field"), [("1.1", "x: y"), ("1.0", "x: y"), ("1.0", None)])
def test_authority_of_target_replaces_host(asgi, connect, version, field):
    client = connect(asgi)
    lines = [f"GET https://other:80/scope HTTP/{version}", *(["host: test", field] if field else [])]
    client.send("".join(line + "\r\n" for line in lines).encode() + b"\r\n")
    scope = json.loads(client.read().body)
    assert [value for name, value in scope["headers"] if name == "host"] == ["other:80"]
    assert (scope["scheme"], scope["server"]) == ("http", ["127.0.0.1", asgi.port])


def test_bare_cr_in_head_is_refused_at_once(asgi, connect):
    client = connect(asgi)
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\rX")
    assert client.read().status == 400
    assert client.rest() == b""


def test_unterminated_quote_in_chunk_extension_is_refused(asgi, connect):
    client = connect(asgi)
    client.get("/echo", "transfer-encoding: chunked", method="POST")
    client.send(b'5;a="b\r\nhello\r\n0;c="\r\n\r\n')
    assert client.read().status == 400
    assert client.rest() == b""


def test_absolute_target_without_path_is_root(asgi, connect):
    assert exchange(connect, asgi, "http://test").body == b"hello"


def test_pipelined_requests_are_answered_in_order(asgi, connect):
    client = connect(asgi)
    targets = ["/", "/stream?count=1", "/echo", "/nothing"] * 20
    client.send(b"".join(b"GET %b HTTP/1.1\r\nhost: test\r\n\r\n" % target.encode() for target in targets))
    lengths = [len(client.read().body) for _ in range(4)]
    for _ in range(19):
        assert [len(client.read().body) for _ in range(4)] == lengths
    assert lengths[:3] == [5, 65536, 0]


def test_malformed_request_is_refused_after_earlier_response(asgi, connect):
    client = connect(asgi)
    client.get("/head-first?name=malformed-behind")
    assert client.read_head().status == 200
    client.send(b"BAD\r\n\r\n")
    assert exchange(connect, asgi, "/set?name=malformed-behind").status == 200
    rest = client.rest()
    assert rest.startswith(b"9\r\nlate body\r\n0\r\n\r\nHTTP/1.1 400 ")


def test_head_does_not_wait_for_body(asgi, connect):
    client = connect(asgi)
    client.get("/head-first?name=head-first")
    assert client.read_head().field("transfer-encoding") == "chunked"
    assert exchange(connect, asgi, "/set?name=head-first").status == 200
    assert client.rest_until(b"0\r\n\r\n") == b"9\r\nlate body\r\n0\r\n\r\n"


def test_next_request_is_served_while_background_work_runs(asgi, connect):
    client = connect(asgi)
    client.get("/background?name=works-on")
    assert client.read().body == b"answered"
    client.get("/")
    assert client.read().body == b"hello"
    client.get("/set?name=works-on")
    assert client.read().body == b"set"
    client.get("/wait?name=works-on-done")
    client.read()


def test_receive_returns_disconnect_each_time_after_response(asgi, connect):
    client = connect(asgi)
    client.get("/background?name=after-response")
    assert client.read().body == b"answered"
    exchange(connect, asgi, "/set?name=after-response")
    wait(connect, asgi, "after-response-done")
    assert wait(connect, asgi, "after-response") == ["http.disconnect", "http.disconnect"]


def test_disconnect_follows_single_request_message(asgi, connect):
    client = connect(asgi)
    client.get("/listen?name=listen")
    assert client.read_head().status == 200
    client.close()
    request, disconnect = wait(connect, asgi, "listen")
    assert request == {"type": "http.request", "body": 0, "more_body": False}
    assert disconnect == {"type": "http.disconnect"}


def test_disconnect_behind_pipelined_bytes_is_noticed(asgi, connect):
    client = connect(asgi)
    client.get("/listen?name=pipelined-and-left")
    assert client.read_head().status == 200
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n" * 100)
    client.close()
    assert wait(connect, asgi, "pipelined-and-left")[-1] == {"type": "http.disconnect"}


def test_disconnect_behind_unread_body_is_noticed(asgi, connect):
    client = connect(asgi)
    client.get("/background?name=unread-and-left", "content-length: 5000000", method="POST")
    client.send(bytes(1_000_000))
    assert client.read().body == b"answered"
    client.close()
    exchange(connect, asgi, "/set?name=unread-and-left")
    assert wait(connect, asgi, "unread-and-left-done") is None


def test_truncated_body_is_followed_by_disconnect(asgi, connect):
    client = connect(asgi)
    client.get("/left?name=partial", "content-length: 10", method="POST")
    client.send(b"12345")
    client.end()
    assert wait(connect, asgi, "partial") == [True, "disconnect"]


def test_half_closed_client_is_answered(asgi, connect):
    client = connect(asgi)
    client.get("/left?name=half-closed")
    client.end()
    answer = client.read()
    assert answer.body == b"answered all the same"
    assert client.rest() == b""


def test_pipelined_requests_of_half_closed_client_are_answered(asgi, connect):
    client = connect(asgi)
    for _ in range(50):
        client.get("/")
    client.end()
    for _ in range(50):
        assert client.read().body == b"hello"
    assert client.rest() == b""


def test_send_raises_after_disconnect_on_request(start, variant, connect):
    server = start("asgi:app", "--loop", variant[1], "--send-after-disconnect", "raise", form=variant[0])
    client = connect(server)
    client.get("/scope")
    assert b'"spec_version": "2.5"' in client.read().body
    client.get("/endless?name=endless")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, server, "endless") == ["ClientDisconnected"]


@pytest.mark.parametrize("flags", [("--send-after-disconnect", "raise"), ("--timeout-write", "1")], ids=" ".join)
def test_stalled_stream_is_cancelled_at_disconnect(start, variant, connect, flags):
    server = start("asgi:app", "--loop", variant[1], *flags, form=variant[0])
    client = connect(server)
    client.get("/idle?name=idle")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, server, "idle-done") == "CancelledError"


def test_endless_stream_is_cancelled_after_disconnect(start, variant, connect):
    server = start("asgi:app", "--loop", variant[1], "--timeout-write", "1", form=variant[0])
    client = connect(server)
    client.get("/endless?name=endless")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, server, "endless") is None  # no error reached the application
    server.signal()
    server.wait()
    assert "ERROR" not in server.log.text()


def test_stalled_stream_is_not_cancelled_with_policy_never(start, connect):
    server = start("asgi:app", "--cancel-on-disconnect", "never", "--send-after-disconnect", "raise")
    client = connect(server)
    client.get("/idle?name=idle")
    assert client.read_head().status == 200
    client.close()
    exchange(connect, server, "/set?name=idle")
    assert wait(connect, server, "idle-done") == "ClientDisconnected"


@pytest.mark.parametrize("how", ["silently", "before", "quit"])
def test_failure_before_head_is_answered_500(asgi, connect, how):
    target = {"silently": "/leave?how=silently", "before": "/fail?when=before", "quit": "/quit"}[how]
    client = connect(asgi)
    client.get(target)
    answer = client.read()
    assert answer.status == 500
    assert answer.body == b"Internal Server Error"
    assert answer.field("content-type") == "text/plain; charset=utf-8"
    assert answer.field("connection") == "close"
    assert client.rest() == b""


@pytest.mark.parametrize("target", ["/leave?how=midway", "/fail?when=after"])
def test_failure_after_head_truncates_response(asgi, connect, target):
    client = connect(asgi)
    client.get(target)
    assert client.read_head().status == 200
    assert client.rest() == b"7\r\npartial\r\n"


def test_incomplete_response_is_logged(start, connect):
    server = start("asgi:app")
    for target in ("/fail?when=before", "/leave?how=silently", "/leave?how=midway", "/leave?how=value"):
        connect(server).get(target)
    server.log.wait_for("ValueError: the application's own fault")
    server.log.wait_for("^ERROR:    Exception in ASGI application$")
    server.log.wait_for("^ERROR:    ASGI callable returned without starting response.$")
    server.log.wait_for("^ERROR:    ASGI callable returned without completing response.$")
    server.log.wait_for("^ERROR:    ASGI callable should return None, but returned '5'.$")


def test_disconnect_is_not_logged_as_error(start, connect):
    server = start("asgi:app", "--send-after-disconnect", "raise")
    client = connect(server)
    client.get("/endless?name=left")
    assert client.read_head().status == 200
    client.close()
    assert wait(connect, server, "left") == ["ClientDisconnected"]
    server.signal()
    server.wait()
    assert "ERROR" not in server.log.text()


def test_100_continue_is_sent_at_first_receive(asgi, connect):
    client = connect(asgi)
    client.get("/hold?name=continue", "expect: 100-continue", "content-length: 4", method="POST")
    assert exchange(connect, asgi, "/wait?name=continue-runs").status == 200
    assert client.is_silent()
    exchange(connect, asgi, "/set?name=continue")
    assert client.read().head == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"body")
    assert client.read().body.startswith(b"4 ")


def test_100_continue_is_not_sent_without_receive(asgi, connect):
    client = connect(asgi)
    client.get("/", "expect: 100-continue", "content-length: 4", method="POST")
    answer = client.read()
    assert answer.status == 200
    assert answer.field("connection") == "close"
    assert client.rest() == b""


def test_unsupported_upgrade_is_ordinary_request(asgi, connect):
    client = connect(asgi)
    client.post("/echo", b"body", "connection: upgrade", "upgrade: h2c")
    assert client.read().body == b"body"


def test_path_is_always_text(asgi, connect):
    assert json.loads(exchange(connect, asgi, "/%ff%C3%A4").body)["path"] == "/\ufffdä"
