"""The access log in a custom format: each atom, the time of a line, protection against forged lines."""

import json
import re
import time

import pytest

from pronghorn.logging.defaults import ACCESS_FORMAT
from tests.support.rig import GET, body, ok, start
from tests.wire.test_access_log import Printed

HEAD = b"GET /a%20b?q=%41 HTTP/1.1\r\nhost: a\r\n"
NAMED = b"user-agent: Horn/1\r\nreferer: http://a/\r\nx-request-id: 17\r\n"
REQUEST = HEAD + NAMED + b"authorization: Basic am9lOnB3\r\nx-one: 1\r\nX-One: 2\r\n\r\n"


def logged(wire, access_format, request=REQUEST, application=None, batched=True, **options):
    """The log line of one request answered with five bytes."""
    printed = Printed(wire, batched, access_format=access_format, application=application or five_bytes, **options)
    printed.rig.receive(request)
    printed.turn()
    return printed.text


def five_bytes(request):
    start(request, headers=[(b"X-Out", b"out"), (b"content-type", b"text/plain"), (b"Content-Length", b"5")])
    body(request, b"12345")


ATOMS = [
    ("h", "127.0.0.1"),
    ("client_addr", "127.0.0.1:50000"),
    ("l", "-"),
    ("u", "joe"),
    ("r", "GET /a%20b?q=%41 HTTP/1.1"),
    ("m", "GET"),
    ("U", "/a%20b"),
    ("q", "q=%41"),
    ("H", "HTTP/1.1"),
    ("scheme", "http"),
    ("s", "200"),
    ("status_code", "200 OK"),
    ("levelprefix", "INFO:    "),
    ("B", "5"),
    ("b", "5"),
    ("T", "0"),
    ("f", "http://a/"),
    ("a", "Horn/1"),
    ("request_id", "17"),
    ("{X-ONE}i", "1"),
    ("{x-two}i", "-"),
    ("{x-out}o", "out"),
    ("{Content-Type}o", "text/plain"),
    ("{x-one}o", "-"),
]


@pytest.mark.parametrize(("atom", "value"), ATOMS)
def test_each_atom_has_its_value(wire, atom, value):
    assert logged(wire, f"<%({atom})s>") == f"<{value}>\n"


@pytest.mark.parametrize(
    ("atom", "pattern"),
    [
        ("t", r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"),
        ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
        ("asctime", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"),
        ("M", r"\d+"),
        ("D", r"\d+"),
        ("L", r"0\.\d{6}"),
        ("p", r"<\d+>"),
    ],
)
def test_variable_atom_matches_its_pattern(wire, atom, pattern):
    assert re.fullmatch(pattern + "\n", logged(wire, f"%({atom})s"))


@pytest.mark.parametrize("client", [None, ("::1", 7)])
def test_host_atom_is_the_client_address(wire, client):
    expected = "- -\n" if client is None else "::1 ::1:7\n"
    assert logged(wire, "%(h)s %(client)s", client=client) == expected


@pytest.mark.parametrize("credentials", [b"Basic !", b"Basic a", b"Basic", b"Bearer am9lOnB3", b"Basic OnB3", b""])
def test_user_atom_is_always_a_hyphen(wire, credentials):
    assert logged(wire, "%(u)s", HEAD + b"authorization: " + credentials + b"\r\n\r\n") == "-\n"


def test_request_id_of_the_response_takes_precedence(wire):
    def application(request):
        start(request, headers=[(b"X-Request-ID", b"42")])
        body(request)

    assert logged(wire, "%(request_id)s", application=application) == "42\n"


def test_text_outside_atoms_is_kept(wire):
    assert logged(wire, "100%% é %(s)s") == "100% é 200\n"


def test_text_of_the_default_format_selects_the_default_lines(wire):
    printed = Printed(wire, access_format=ACCESS_FORMAT)
    assert type(printed.lines) is wire.access_log.AccessLines


# Forging


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        (b'a" 200 "b', r"a\" 200 \"b"),
        (b"back\\slash", r"back\\slash"),
        (b"\tx\ty", r"x\x09y"),
        ("é€".encode(), r"\xc3\xa9\xe2\x82\xac"),
        (b"\xff\x9b31m", r"\xff\x9b31m"),
        ("\u2028\u0085".encode(), r"\xe2\x80\xa8\xc2\x85"),
    ],
)
def test_request_fields_are_escaped(wire, value, escaped):
    request = HEAD + b"user-agent: " + value + b"\r\n\r\n"
    assert logged(wire, '"%(a)s"', request) == f'"{escaped}"\n'


def test_changes_of_the_scope_are_escaped(wire):
    def application(request):
        request.scope["method"] = 'A\r\n"'
        request.scope["path"] = '/"\r\n\u2028'
        ok(request)

    assert logged(wire, '"%(r)s" %(m)s', application=application) == (
        r'"A\x0d\x0a\" /%22%0D%0A%E2%80%A8?q=%41 HTTP/1.1" A\x0d\x0a\"' + "\n"
    )


def test_quote_in_a_query_is_escaped(wire):
    assert logged(wire, '"%(r)s" %(q)s', b'GET /?"\\ HTTP/1.1\r\nhost: a\r\n\r\n') == (
        r'"GET /?\"\\ HTTP/1.1" \"\\' + "\n"
    )


@pytest.mark.parametrize("spoilt", [{"path": None}, {"query_string": "text"}, {"method": "\ud800"}])
def test_invalid_scope_is_replaced_by_the_request_as_received(wire, spoilt):
    def application(request):
        request.scope.update(spoilt)
        ok(request)

    assert logged(wire, "%(r)s", application=application) == "GET /a%20b?q=%41 HTTP/1.1\n"


# JSON

KEYS = [
    "time",
    "level",
    "logger",
    "client",
    "method",
    "path",
    "query",
    "protocol",
    "status",
    "bytes",
    "duration",
    "referer",
    "user_agent",
    "request_id",
    "trace_id",
    "span_id",
]


@pytest.mark.parametrize("batched", [True, False])
def test_json_line_has_all_keys(wire, batched):
    before = time.time()
    line = json.loads(logged(wire, "json", batched=batched))
    assert list(line) == KEYS
    assert before - 1 < time.mktime(time.strptime(line.pop("time")[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert 0 < line.pop("duration") < 10
    assert line == {
        "level": "INFO",
        "logger": "pronghorn.access",
        "client": "127.0.0.1:50000",
        "method": "GET",
        "path": "/a%20b",
        "query": "q=%41",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 5,
        "referer": "http://a/",
        "user_agent": "Horn/1",
        "request_id": "17",
        "trace_id": None,
        "span_id": None,
    }


def test_ids_of_traceparent_are_logged(wire):
    request = HEAD + b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
    expected = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    line = json.loads(logged(wire, "json", request))
    assert (line["trace_id"], line["span_id"]) == expected
    assert logged(wire, "%(trace_id)s %(span_id)s", request) == " ".join(expected) + "\n"


def test_json_has_null_for_missing_values(wire):
    line = json.loads(logged(wire, "json", GET, client=None))
    assert [line[key] for key in ("client", "query", "referer", "user_agent", "request_id")] == [
        None,
        "",
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("value", [b'"\\', b"a\tb", "é\u2028".encode(), b'", "status": 500, "x": "'])
def test_json_is_escaped(wire, value):
    text = logged(wire, "json", HEAD + b"user-agent: " + value + b"\r\n\r\n")
    assert text.isascii()
    assert text.count("\n") == 1
    assert json.loads(text)["user_agent"] == value.decode()
    assert json.loads(text)["status"] == 200


def test_json_replaces_bytes_that_are_not_utf8(wire):
    assert json.loads(logged(wire, "json", HEAD + b"user-agent: \xff\r\n\r\n"))["user_agent"] == "\ufffd"


# Time of a line


def test_line_without_size_or_duration_is_logged_at_the_start(wire):
    printed = Printed(wire, access_format="%(r)s %(s)s")
    printed.rig.receive(GET)
    start(printed.rig.request)
    printed.turn()
    assert printed.text == "GET / HTTP/1.1 200\n"


@pytest.mark.parametrize("atom", ["B", "b", "T", "M", "D", "L", "bytes", "duration"])
def test_line_with_size_or_duration_is_logged_at_the_end(wire, atom):
    printed = Printed(wire, access_format=f"%(s)s %({atom})s")
    printed.rig.receive(GET)
    start(printed.rig.request)
    body(printed.rig.request, b"abc", more=True)
    printed.turn()
    assert printed.text == ""
    body(printed.rig.request, b"de")
    printed.turn()
    assert re.fullmatch(r"200 [\d.]+\n", printed.text)
    assert atom.lower() not in ("b", "bytes") or printed.text == "200 5\n"
    printed.rig.connection.lose()
    printed.turn()
    assert printed.text.count("\n") == 1


def test_duration_counts_from_the_start_of_the_request(wire):
    printed = Printed(wire, access_format="%(L)s %(M)s %(T)s")
    printed.rig.receive(GET)
    start(printed.rig.request)
    printed.rig.request.began -= 61.5
    body(printed.rig.request)
    printed.turn()
    seconds, milliseconds, whole = printed.text.split()
    assert 61.5 <= float(seconds) < 70
    assert 61500 <= int(milliseconds) < 70000
    assert whole in ("61", "62")


def test_lost_client_completes_its_line(wire):
    printed = Printed(wire, access_format="%(s)s %(B)s")
    printed.rig.receive(GET)
    start(printed.rig.request)
    body(printed.rig.request, b"abc", more=True)
    printed.turn()
    printed.rig.connection.lose()
    printed.turn()
    assert printed.text == "200 3\n"


def test_lost_client_completes_its_line_while_the_application_runs(wire):
    printed = Printed(wire, access_format="%(s)s %(B)s", ignores_lost=True)
    printed.rig.receive(GET)
    start(printed.rig.request)
    body(printed.rig.request, b"abc", more=True)
    printed.turn()
    printed.rig.connection.end_input()
    printed.rig.tick(1)
    printed.rig.tick(2)
    assert printed.rig.request.is_lost()
    body(printed.rig.request, b"de")
    printed.rig.request.abandon()
    printed.rig.connection.lose()
    printed.turn()
    assert printed.text == "200 3\n"


def test_client_lost_before_the_response_has_no_line(wire):
    for begun in (False, True):
        printed = Printed(wire, access_format="%(s)s %(B)s")
        printed.rig.receive(GET)
        if begun:
            start(printed.rig.request)
        printed.rig.connection.lose()
        printed.turn()
        assert printed.text == ""


@pytest.mark.parametrize("status", [500, 503])
def test_error_response_of_the_server_is_logged_with_its_size(wire, status):
    printed = Printed(wire, access_format="%(s)s %(B)s")
    printed.rig.receive(GET)
    printed.rig.request.fail(status)
    printed.turn()
    printed.rig.connection.lose()
    printed.turn()
    assert printed.text == f"{status} {len('Internal Server Error' if status == 500 else 'Service Unavailable')}\n"


def test_aborted_response_is_logged_with_the_bytes_sent(wire):
    printed = Printed(wire, access_format="%(s)s %(B)s")
    printed.rig.receive(GET)
    start(printed.rig.request)
    body(printed.rig.request, b"abc", more=True)
    printed.turn()
    printed.rig.request.fail(500)
    printed.turn()
    printed.rig.connection.lose()
    printed.turn()
    assert printed.text == "200 3\n"


def test_response_to_head_is_logged_with_size_zero(wire):
    assert logged(wire, "%(B)s %(b)s", b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n") == "0 -\n"


def test_file_is_logged_with_its_size(wire):
    printed = Printed(wire, access_format="%(B)s")
    printed.rig.receive(GET)
    request = printed.rig.request
    start(request)
    assert request.begin_file(1000)
    request.encoder.file_sent(600)
    request.encoder.file_sent(400)
    request.end_file(True, False)
    printed.turn()
    assert printed.text == "1000\n"


def test_interrupted_file_is_logged_with_the_bytes_sent(wire):
    printed = Printed(wire, access_format="%(B)s")
    printed.rig.receive(GET)
    start(printed.rig.request)
    printed.rig.request.begin_file(1000)
    printed.rig.request.encoder.file_sent(600)
    printed.rig.connection.lose()
    printed.turn()
    assert printed.text == "600\n"


def test_pipelined_requests_are_logged_in_order(wire):
    printed = Printed(wire, access_format="%(U)s %(B)s", application=five_bytes)
    printed.rig.receive(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number for number in range(5)))
    printed.turn()
    assert printed.text.splitlines() == [f"/{number} 5" for number in range(5)]


# Through `logging`


def test_log_record_has_the_line_and_five_arguments(wire):
    printed = Printed(wire, batched=False, access_format="%(m)s %(B)s", application=five_bytes)
    printed.rig.receive(REQUEST)
    record = printed.records[0]
    assert record.args == ("127.0.0.1:50000", "GET", "/a%20b?q=%41", "1.1", 200)
    assert record.access_line == "GET 5"
    assert printed.text == "GET 5\n"


def test_full_batch_is_written_before_the_iteration_ends(wire):
    printed = Printed(wire, access_format="%(U)s")
    for _ in range(256):
        printed.add()
    assert printed.text.count("\n") == 256
