"""The signs of trouble for an operator: blocked event loops, slow requests, and the ids that connect the lines."""

import json
import os
import re
import signal
import socket
import struct
import time

import pytest

from tests.support.raw_websocket import HANDSHAKE

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs SIGSTOP")


def ask(client, target, *fields):
    client.get(target, *fields)
    return client.read()


def lines_of(server):
    """The lines of the log, which is JSON, as dictionaries. Ends the server."""
    server.signal()
    server.wait()
    return [json.loads(line) for line in server.log]


# The watchdog


def test_blocked_loop_is_reported_with_its_stack(start, connect, variant):
    form, loop = variant
    server = start("trouble:app", "--watchdog", "0.5", "--loop", loop, form=form)
    ask(connect(server), "/block?2")
    server.log.wait_for(r"^ERROR:    The event loop has been blocked for \d\.\d s\.$")
    server.log.wait_for(r"^Stack of the event loop's thread \(most recent call last\):$")
    server.log.wait_for(r"^    time\.sleep\(seconds\)")
    server.log.wait_for(r"^ERROR:    The event loop goes on\. It was blocked for \d\.\d s\.$")


def test_blocked_worker_is_reported_once(start, connect):
    flags = ("--watchdog", "0.5", "--workers", "2", "--log-format", "json", "--log-level", "debug")
    server = start("trouble:app", *flags)
    server.log.wait_for(r"\] serves", 2)
    ask(connect(server), "/block?2")
    server.log.wait_for("The event loop goes on")
    blocks = [line for line in lines_of(server) if "blocked for" in line["message"]]
    assert [bool(re.search("has been", line["message"])) for line in blocks] == [True, False]
    assert "time.sleep(seconds)" in blocks[0]["stack"]
    assert "stack" not in blocks[1]


@posix_only
def test_suspended_process_is_not_reported(start, connect):
    server = start("trouble:app", "--watchdog", "0.5")
    ask(connect(server), "/")
    server.signal(signal.SIGSTOP)
    time.sleep(2)
    server.signal(signal.SIGCONT)
    time.sleep(0.5)  # in which a wrong report would appear
    assert ask(connect(server), "/").status == 200
    server.signal()
    server.wait()
    assert "blocked" not in server.log.text()


def test_block_is_not_reported_without_watchdog(start, connect):
    server = start("trouble:app")
    ask(connect(server), "/block?0.3")
    server.signal()
    server.wait()
    assert "blocked" not in server.log.text()


# Slow requests

TIMES = r"application (\d+\.\d{3}) s, client (\d+\.\d{3}) s, queue (\d+\.\d{3}) s$"


def test_slow_request_is_logged_with_its_times(start, connect, variant):
    form, loop = variant
    server = start("trouble:app", "--log-slow", "0.2", "--loop", loop, form=form)
    client = connect(server)
    ask(client, "/")
    ask(client, "/sleep?0.3")
    found = server.log.wait_for(
        r'^WARNING:  127\.0\.0\.1:\d+ - "GET /sleep\?0\.3 HTTP/1\.1" 200 took (\d\.\d{3}) s: ' + TIMES
    )
    total, application, client_time, queue = map(float, found.groups())
    assert 0.2 < application <= total
    assert total == pytest.approx(application + client_time + queue, abs=0.002)
    server.signal()
    server.wait()
    assert server.log.text().count(" took ") == 1


def test_slow_client_is_told_from_a_slow_application(start, connect, form):
    server = start("trouble:app", "--log-slow", "0.2", form=form)
    client = connect(server)
    client.get("/read", "content-length: 2", method="POST")
    time.sleep(0.3)
    client.send(b"ab")
    assert client.read().status == 200
    _, client_time, _ = server.log.wait_for(TIMES).groups()
    assert float(client_time) >= 0.2


def test_client_that_gives_up_is_logged(start, connect, form):
    server = start("trouble:app", "--log-slow", "0.2", "--cancel-on-disconnect", "always", form=form)
    client = connect(server)
    client.get("/sleep?60")
    time.sleep(0.3)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()  # resets the connection
    server.log.wait_for(r'"GET /sleep\?60 HTTP/1\.1" - took 0\.\d{3} s: .*; the client has left$')


def test_times_are_fields_in_json(start, connect):
    server = start("trouble:app", "--log-slow", "0.2", "--log-format", "json", "--request-id-header", "X-Request-ID")
    ask(connect(server), "/sleep?0.3", "x-request-id: 7", TRACEPARENT)
    (line,) = [line for line in lines_of(server) if " took " in line["message"]]
    assert line["level"] == "WARNING"
    expected = ["GET", "/sleep", "0.3", "HTTP/1.1", 200]
    assert [line[key] for key in ("method", "path", "query", "protocol", "status")] == expected
    assert (line["request_id"], line["trace_id"], line["span_id"]) == ("7", TRACE, SPAN)
    assert line["application_time"] > 0.2
    parts = line["application_time"] + line["client_time"] + line["queue_time"]
    assert line["duration"] == pytest.approx(parts, abs=0.00001)


def test_target_cannot_forge_the_line(start, connect):
    server = start("trouble:app", "--log-slow", "0.000001")
    ask(connect(server), '/a"?b" 200 took'.replace(" ", "%20"))
    server.log.wait_for(r'"GET /a%22\?b%22%20200%20took HTTP/1\.1" 200 took ')


# Ids


@pytest.fixture
def with_ids(start):
    """A function that starts a server which gives ids."""

    def start_with_ids(*flags, form=None):
        return start("trouble:app", "--request-id-header", "X-Request-ID", *flags, form=form)

    return start_with_ids


def test_id_is_in_response_scope_and_log(with_ids, connect, form):
    server = with_ids("--access-log-format", "%(request_id)s", form=form)
    client = connect(server)
    for fields in (["x-request-id: 7f3a"], ["x-request-id: a b"]):
        answer = ask(client, "/", *fields)
        given = answer.field("x-request-id")
        assert json.loads(answer.body) == {"request_id": given}
        server.access.wait_for(f"^{given}$")
        assert given == "7f3a" if fields == ["x-request-id: 7f3a"] else len(given) == 32


def test_ids_are_in_the_lines_about_an_error(with_ids, connect, form):
    server = with_ids("--log-format", "json", form=form)
    answer = ask(connect(server), "/fail", "x-request-id: 7", TRACEPARENT)
    assert (answer.status, answer.field("x-request-id")) == (500, "7")
    access = json.loads(server.access.wait_for("^.*/fail.*$")[0])
    (error,) = [line for line in lines_of(server) if "ZeroDivisionError" in line.get("exception", "")]
    for line in (access, error):
        assert (line["request_id"], line["trace_id"], line["span_id"]) == ("7", TRACE, SPAN)


def test_lines_of_tasks_have_the_ids_of_their_request(with_ids, connect):
    server = with_ids("--log-format", "json")
    ask(connect(server), "/fail/child", "x-request-id: 7")
    (line,) = [line for line in lines_of(server) if line["message"] == "a complaint"]
    assert (line["request_id"], line.get("trace_id")) == ("7", None)


def test_ids_do_not_reach_other_lines(with_ids, connect):
    server = with_ids("--log-format", "json")
    ask(connect(server), "/fail", "x-request-id: 7")
    lines = lines_of(server)
    assert [line["message"] for line in lines if "request_id" in line] == ["Exception in ASGI application"]


def test_errors_have_the_trace_without_request_ids(start, connect):
    server = start("trouble:app", "--log-format", "json")
    ask(connect(server), "/fail", TRACEPARENT)
    (error,) = [line for line in lines_of(server) if "exception" in line]
    assert (error["trace_id"], error["span_id"], "request_id" in error) == (TRACE, SPAN, False)


def test_errors_of_websockets_have_the_ids(with_ids, connect):
    server = with_ids("--log-format", "json")
    fields = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    answer = ask(connect(server), "/", *fields, "x-request-id: 7")
    assert (answer.status, answer.field("x-request-id")) == (500, "7")
    (error,) = [line for line in lines_of(server) if "exception" in line]
    assert error["request_id"] == "7"


def test_overload_has_the_id(with_ids, connect):
    server = with_ids("--limit-concurrency", "1")
    client = connect(server)
    answer = ask(client, "/", "x-request-id: 7")
    assert (answer.status, answer.field("x-request-id")) == (503, "7")


@pytest.mark.parametrize("name", ["Content-Length", "connection", "Set-Cookie", "a b", ""])
def test_name_with_another_meaning_is_refused(name):
    from pronghorn import Config
    from pronghorn.config import ConfigError

    with pytest.raises(ConfigError, match="request_id_header"):
        Config("a:b", log_config=None, request_id_header=name)
