"""The access log: lines are byte for byte those of `logging`, batched or not."""

import enum
import io
import logging
from http import HTTPStatus

import pytest

from pronghorn.logging import AccessFormatter
from pronghorn.logging.access_log import AccessLog
from pronghorn.logging.defaults import ACCESS_FORMAT
from tests.support.rig import GET, Rig, body, ok, start


class Printed:
    """A rig whose requests are logged to a string, batched or through `logging`."""

    def __init__(self, wire, batched=True, colours=False, access_format=None, **options):
        self.stream = io.StringIO()
        self.records = []
        self.logger = logging.Logger("pronghorn.access", logging.INFO)  # noqa: LOG001, a logger no other test uses
        self.logger.propagate = False
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(AccessFormatter(ACCESS_FORMAT, use_colors=colours))
        self.logger.addHandler(self.handler)
        if not batched:
            self.logger.addFilter(self._keep)
        soon = []
        self.log = AccessLog.create(self.logger, access_format)
        kind = wire.access_log.AccessLines if self.log.pieces is None else wire.access_log.FormattedLines
        self.lines = kind(self.log, soon.append)
        self.rig = Rig(wire, access_log=self.lines, **options)
        self._soon = soon

    def _keep(self, record):
        self.records.append(record)
        return True

    @property
    def text(self):
        return self.stream.getvalue()

    def turn(self):
        self.rig.turn()
        for callback in self._soon:
            callback()
        self._soon.clear()

    def add(self, client="127.0.0.1:50000", path="/", query=b"", method="GET", version="1.1", status=200):
        scope = {"path": path, "query_string": query, "method": method, "http_version": version}
        self.lines.add(client, scope, status, None)


CASES = [
    ({}, '127.0.0.1:50000 - "GET / HTTP/1.1" 200 OK'),
    ({"client": ""}, ' - "GET / HTTP/1.1" 200 OK'),
    ({"method": "POST", "version": "1.0", "status": 404}, '127.0.0.1:50000 - "POST / HTTP/1.0" 404 Not Found'),
    ({"status": 599}, '127.0.0.1:50000 - "GET / HTTP/1.1" 599 '),
    ({"path": "/a", "query": b"q=%41&r=%20"}, '127.0.0.1:50000 - "GET /a?q=%41&r=%20 HTTP/1.1" 200 OK'),
    ({"path": "/a b"}, '127.0.0.1:50000 - "GET /a%20b HTTP/1.1" 200 OK'),
    ({"path": "/a%2Fb"}, '127.0.0.1:50000 - "GET /a%252Fb HTTP/1.1" 200 OK'),
    ({"path": "*", "method": "OPTIONS"}, '127.0.0.1:50000 - "OPTIONS %2A HTTP/1.1" 200 OK'),
    ({"path": "/é€\U0001f600"}, '127.0.0.1:50000 - "GET /%C3%A9%E2%82%AC%F0%9F%98%80 HTTP/1.1" 200 OK'),
    ({"path": "/\ufffd"}, '127.0.0.1:50000 - "GET /%EF%BF%BD HTTP/1.1" 200 OK'),
    ({"path": '/\r\nINFO: "forged"'}, '127.0.0.1:50000 - "GET /%0D%0AINFO%3A%20%22forged%22 HTTP/1.1" 200 OK'),
    ({"path": "/\x00\x1b[31m\x7f\x85"}, '127.0.0.1:50000 - "GET /%00%1B%5B31m%7F%C2%85 HTTP/1.1" 200 OK'),
    ({"path": "/AZaz09_.~-/"}, '127.0.0.1:50000 - "GET /AZaz09_.~-/ HTTP/1.1" 200 OK'),
    (
        {"path": "/a+b&c=d;e:f@g,h!$'()"},
        '127.0.0.1:50000 - "GET /a%2Bb%26c%3Dd%3Be%3Af%40g%2Ch%21%24%27%28%29 HTTP/1.1" 200 OK',
    ),
]


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "logging"])
@pytest.mark.parametrize(("parts", "line"), CASES)
def test_line_has_the_format_of_uvicorn(wire, parts, line, batched):
    printed = Printed(wire, batched)
    printed.add(**parts)
    printed.turn()
    assert printed.text == f"INFO:     {line}\n"


@pytest.mark.parametrize("status", [200, 204, 301, 404, 500, 599, 299])
def test_coloured_lines_equal_those_of_logging(wire, status):
    batched, logged = (Printed(wire, way, colours=True) for way in (True, False))
    for printed in (batched, logged):
        printed.add(status=status, path="/é", query=b"q")
        printed.turn()
    assert "\x1b[" in batched.text
    assert batched.text == logged.text


def test_every_character_is_quoted_as_by_logging(wire):
    batched, logged = (Printed(wire, way) for way in (True, False))
    for printed in (batched, logged):
        for code in [*range(0x250), 0x20AC, 0xFFFD, 0x1F600]:
            printed.add(path=f"/{chr(code)}")
        printed.turn()
    assert batched.text == logged.text
    assert batched.text.isascii()
    assert batched.text.count("\n") == 0x250 + 3


def test_record_has_the_five_arguments_of_uvicorn(wire):
    printed = Printed(wire, batched=False)
    printed.add(path="/a b", query=b"q", status=404)
    record = printed.records[0]
    assert record.msg == '%s - "%s %s HTTP/%s" %d'
    assert record.args == ("127.0.0.1:50000", "GET", "/a%20b?q", "1.1", 404)
    assert record.name == "pronghorn.access"
    assert record.levelno == logging.INFO


# Batches


def test_lines_of_one_iteration_are_written_together(wire):
    printed = Printed(wire)
    for number in range(3):
        printed.add(path=f"/{number}")
    assert printed.text == ""
    printed.turn()
    assert [line.split()[4] for line in printed.text.splitlines()] == ["/0", "/1", "/2"]


def test_each_iteration_has_its_own_batch(wire):
    printed = Printed(wire)
    for number in range(3):
        printed.add(path=f"/{number}")
        printed.turn()
    assert printed.text.count("\n") == 3


def test_full_batch_is_written_before_the_iteration_ends(wire):
    printed = Printed(wire)
    for _ in range(wire.access_log.LINES_AT_ONCE if wire.form == "interpreted" else 256):
        printed.add()
    assert printed.text.count("\n") == 256
    printed.add()
    printed.turn()
    assert printed.text.count("\n") == 257


def test_flush_without_lines_writes_nothing(wire):
    printed = Printed(wire)
    printed.lines.flush()
    assert printed.text == ""


def test_second_handler_ends_batching(wire):
    printed = Printed(wire)
    printed.add(path="/first")
    printed.turn()
    seen = []
    handler = logging.Handler()
    handler.emit = seen.append
    printed.logger.addHandler(handler)
    printed.add(path="/second")
    assert printed.text.count("\n") == 2
    assert [record.args[2] for record in seen] == ["/second"]


def test_changed_formatter_ends_batching(wire):
    printed = Printed(wire)
    printed.handler.setFormatter(logging.Formatter("%(message)s"))
    printed.add()
    assert printed.text == '127.0.0.1:50000 - "GET / HTTP/1.1" 200\n'


def test_order_is_kept_when_batching_ends_within_an_iteration(wire):
    printed = Printed(wire)
    printed.add(path="/first")
    printed.logger.addFilter(lambda record: True)
    printed.add(path="/second")
    printed.turn()
    assert [line.split()[4] for line in printed.text.splitlines()] == ["/first", "/second"]


# Content and time of lines


def test_request_is_logged_when_its_response_starts(wire):
    printed = Printed(wire)
    printed.rig.receive(GET)
    printed.turn()
    assert printed.text == ""
    start(printed.rig.request, status=201)
    printed.turn()
    assert printed.text == 'INFO:     127.0.0.1:50000 - "GET / HTTP/1.1" 201 Created\n'


class Status(int, enum.Enum):
    CREATED = 201


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "logging"])
@pytest.mark.parametrize("status", [201, Status.CREATED, HTTPStatus.CREATED], ids=repr)
@pytest.mark.parametrize(
    ("access_format", "line"),
    [
        (None, 'INFO:     127.0.0.1:50000 - "GET / HTTP/1.1" 201 Created'),
        ("%(s)s %(status_code)s", "201 201 Created"),
        ("json", '"status": 201'),
    ],
)
def test_status_of_any_integer_type_is_logged_as_a_number(wire, access_format, line, status, batched):
    printed = Printed(wire, batched, access_format=access_format)
    printed.rig.receive(GET)
    start(printed.rig.request, status=status)
    body(printed.rig.request, b"")
    printed.turn()
    assert line in printed.text
    assert [record.args[4] for record in printed.records] == ([] if batched else [201])


def test_request_is_logged_once(wire):
    printed = Printed(wire, application=ok)
    printed.rig.receive(GET)
    printed.turn()
    printed.turn()
    assert printed.text == 'INFO:     127.0.0.1:50000 - "GET / HTTP/1.1" 200 OK\n'


def test_pipelined_requests_are_logged_in_order(wire):
    printed = Printed(wire, application=ok)
    printed.rig.receive(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number for number in range(5)))
    printed.turn()
    assert [line.split()[4] for line in printed.text.splitlines()] == ["/0", "/1", "/2", "/3", "/4"]


@pytest.mark.parametrize("status", [500, 503])
def test_error_response_of_the_server_is_logged(wire, status):
    printed = Printed(wire)
    printed.rig.receive(GET)
    printed.rig.request.fail(status)
    printed.turn()
    assert f'"GET / HTTP/1.1" {status} ' in printed.text
    assert printed.text.count("\n") == 1


def test_aborted_response_is_logged_once(wire):
    printed = Printed(wire)
    printed.rig.receive(GET)
    start(printed.rig.request)
    body(printed.rig.request, b"a", more=True)
    printed.turn()
    printed.rig.request.fail(500)
    printed.turn()
    assert printed.text == 'INFO:     127.0.0.1:50000 - "GET / HTTP/1.1" 200 OK\n'


def test_refused_bytes_are_not_logged(wire):
    printed = Printed(wire)
    printed.rig.receive(b"bad\r\n\r\n")
    printed.turn()
    assert printed.text == ""


def test_logged_path_includes_the_root_path(wire):
    printed = Printed(wire, application=ok, root_path="/root")
    printed.rig.receive(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
    printed.turn()
    assert '"GET /root/a HTTP/1.1"' in printed.text


def test_client_on_a_unix_socket_has_an_empty_address(wire):
    printed = Printed(wire, application=ok, client=None)
    printed.rig.receive(GET)
    printed.turn()
    assert printed.text == 'INFO:      - "GET / HTTP/1.1" 200 OK\n'


def test_request_cannot_forge_lines(wire):
    printed = Printed(wire, application=ok)
    printed.rig.receive(b"GET /%0d%0aINFO:%20forged?a=%0d%0ab HTTP/1.1\r\nhost: a\r\n\r\n")
    printed.turn()
    assert printed.text == 'INFO:     127.0.0.1:50000 - "GET /%0D%0AINFO%3A%20forged?a=%0d%0ab HTTP/1.1" 200 OK\n'


def test_changes_of_the_scope_by_the_application_are_logged(wire):
    """Middleware may set the path for a mounted application; the log shows it, as with uvicorn."""
    printed = Printed(wire)
    printed.rig.receive(GET)
    printed.rig.request.scope["path"] = "/changed"
    ok(printed.rig.request)
    printed.turn()
    assert '"GET /changed HTTP/1.1"' in printed.text


@pytest.mark.parametrize("path", [None, 5, b"/"])
def test_path_that_is_not_a_string_raises_type_error(wire, path):
    printed = Printed(wire)
    with pytest.raises(TypeError):
        printed.add(path=path)
