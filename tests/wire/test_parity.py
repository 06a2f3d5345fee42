"""The same bytes cause the same calls, responses and errors in every form, however they are split."""

import importlib
import itertools
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.forms import load_form
from tests.support.rig import CONTINUE, GET, WAITING, Rig, drive, echo

METHODS = [b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH"]
TARGETS = [
    b"/",
    b"/",
    b"/a%20b?q=%41&r=%",
    b"//a",
    b"/%ff%E2%82%AC",
    b"http://a/b?c",
    b"http://a?d",
    b"http://b/",
    b"/a#b",
    b"*",
]
FIELDS = [
    b"x-a: \xe9",
    b"X-A:\t 2 \t",
    b"x-empty:",
    b"accept: */*",
    b"connection: close",
    b"connection: keep-alive",
    b"Connection: x, Upgrade",
    b"upgrade: foo",
    b"expect: 100-continue",
    b"te: trailers",
    b"host: a",
    b"content-length: +3",
    b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: chunked, gzip",
]
CHUNKS = [
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;a=b\r\nabc\r\n00002\r\nde\r\n0;x\r\nx-trailer: 1\r\n\r\n",
    b"0\r\n\r\n",
    b"A\r\n0123456789\r\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\r\nabc0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nx trailer\r\n\r\n",
    b"fffffffffffffffff\r\n",
]
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
ODD_METHODS = [b"get", b"FOO-BAR", b"G(T", b"", b"CONNECT"]
ODD_TARGETS = [b"", b"a", b"/\xc3\xa9", b"ftp://a/", b"http:///a", b"http://u@a/", b"* "]
ODD_FIELDS = [
    b"content-length: 3",
    b"x a: 1",
    b"x-a : 1",
    b" folded",
    b"x-a: \x00",
    b"x-a: a\rb",
    b"x-a: a\nb",
    b"no colon",
    b": empty",
]
ODD_VERSIONS = [b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.", b"HTTP/11", b""]


def mostly(common, rare):
    """Draws from `common` most of the time."""
    return st.integers(0, 19).flatmap(lambda number: st.sampled_from(rare) if number == 0 else st.sampled_from(common))


@st.composite
def requests(draw, odd):
    """One request, valid or nearly so. With `odd`, another parser may refuse its head for another reason."""
    method = draw(mostly(METHODS, ODD_METHODS if odd else METHODS))
    target = draw(mostly(TARGETS, ODD_TARGETS if odd else TARGETS))
    version = draw(mostly([b"HTTP/1.1"] * 4 + [b"HTTP/1.0"], ODD_VERSIONS if odd else [b"HTTP/1.1"]))
    fields = draw(st.lists(mostly(FIELDS[:10], FIELDS[10:] + (ODD_FIELDS if odd else [])), max_size=3))
    if draw(st.integers(0, 19)):
        fields.insert(draw(st.integers(0, len(fields))), b"Host: a")
    body = draw(st.sampled_from([None, None, "length", "chunked"]))
    content = b""
    if body == "length":
        content = draw(st.binary(max_size=8))
        fields.append(b"Content-Length: %d" % len(content))
    elif body == "chunked":
        content = draw(mostly(CHUNKS[:4], CHUNKS[4:]))
        fields.append(b"Transfer-Encoding: chunked")
    head = b"\r\n".join([b" ".join([method, target, version]), *fields, b"", b""])
    if odd and not draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(head)))
        piece = draw(st.sampled_from([b"", b"\r", b"\n", b"\x00", b" ", b":", b"\x80", b"\r\n"]))
        head = head[:at] + piece + head[at + draw(st.integers(0, 1)) :]
    return draw(mostly([b""], [b"\r\n", b"\r\n\r\n", b"\n", b"\r"])) + head + content


@st.composite
def conversations(draw, odd=True):
    """Pipelined requests, and the positions to cut them at."""
    data = b"".join(draw(st.lists(requests(odd), min_size=1, max_size=5)))
    if not draw(st.integers(0, 4)):
        data = data[: draw(st.integers(0, len(data)))]
    cuts = draw(st.one_of(st.just(None), st.lists(st.integers(0, len(data)), max_size=8)))
    return data, cuts, draw(st.booleans())


def pieces_of(data, cuts):
    """`data` cut at `cuts`; None means at every byte."""
    edges = range(len(data) + 1) if cuts is None else sorted({0, *cuts, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


class Seen:
    """The record of a conversation: calls, received messages, responses, refusals and the end."""

    def __init__(self, wire, kind, pieces, turn_each, **limits):
        self.calls = []
        rig = Rig(wire, self._application, kind=kind, **limits)
        for piece in pieces:
            rig.receive(piece)
            if turn_each:
                rig.turn()
        rig.turn()
        rig.connection.end_input()
        rig.turn()
        self.written = rig.written
        self.statuses = [error.status for error in rig.refused]
        self.owner_calls = rig.calls
        self.requests = rig.shared.total_requests

    def exactly(self):
        return self.calls, self.written, self.statuses, self.owner_calls, self.requests

    def whichever_fault(self):
        """Everything except the status of a refusal: another parser may report another fault of the same head."""
        written = self.written.rpartition(b"HTTP/1.1 ")[0] if self.statuses else self.written
        return self.calls, written, len(self.statuses), self.owner_calls, self.requests

    def however_split(self):
        """Everything that does not depend on the cuts.

        The cuts decide whether a request with a malformed body starts, and whether a 100 is sent: only while no body
        has arrived.
        """
        complete = [call for call in self.calls if call[1] and call[1][-1].get("more_body") is False]
        received = [(scope, b"".join(message["body"] for message in messages)) for scope, messages in complete]
        return received, self.written.replace(CONTINUE, b""), self.statuses

    async def _application(self, request):
        messages = []
        self.calls.append((request.scope, messages))

        class Recorder:
            send = request.send

            @staticmethod
            async def receive():
                message = await request.receive()
                messages.append(message)
                return message

        await echo(Recorder)


def connection_kind(form):
    """The modules and the connection class of a form."""
    if form != "httptools":
        return load_form(form), None
    if find_spec("httptools") is None:
        pytest.skip("httptools is not installed")
    return load_form("interpreted"), importlib.import_module("pronghorn._wire_httptools").LLHTTPConnection


@settings(max_examples=400)
@given(conversations())
def test_compiled_and_interpreted_forms_act_alike(conversation):
    data, cuts, turn_each = conversation
    pieces = pieces_of(data, cuts)
    compiled, interpreted = (Seen(*connection_kind(form), pieces, turn_each) for form in ("compiled", "interpreted"))
    assert compiled.exactly() == interpreted.exactly()


@settings(max_examples=200)
@given(conversations(odd=False))
def test_connection_with_httptools_acts_alike(conversation):
    data, cuts, turn_each = conversation
    pieces = pieces_of(data, cuts)
    ours, theirs = (Seen(*connection_kind(form), pieces, turn_each) for form in ("interpreted", "httptools"))
    assert ours.whichever_fault() == theirs.whichever_fault()


@pytest.mark.parametrize("form", ["compiled", "interpreted", "httptools"])
@settings(max_examples=200)
@given(conversation=conversations())
def test_input_split_anywhere_is_read_alike(form, conversation):
    data, cuts, turn_each = conversation
    whole = Seen(*connection_kind(form), pieces_of(data, ()), True)
    split = Seen(*connection_kind(form), pieces_of(data, cuts), turn_each)
    assert split.however_split() == whole.however_split()


@pytest.mark.parametrize("form", ["compiled", "interpreted", "httptools"])
@pytest.mark.parametrize("before", [b"", GET], ids=["at first", "behind a request"])
@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n", b"\r\n\r", b"\r", b"\n"], ids=repr)
def test_empty_lines_are_counted_however_they_are_split(form, before, lines):
    data = before + lines + GET
    whole, split = (Seen(*connection_kind(form), pieces, True) for pieces in ([data], pieces_of(data, None)))
    assert split.however_split() == whole.however_split()
    assert whole.statuses == ([] if lines == b"\r\n" else [400])


SMALL = {"head_size": 64, "target_size": 16}
LONG_TARGET = b"GET /" + b"a" * 20 + b" HTTP/1.1\r\nHost: a"
LONG_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"a" * 40
# Heads with two errors each, and the status of the one that is proved first.
TWICE_WRONG = {
    "version, bare CR, bare LF": (b"GET http://a/b?c HTTP/1.2\r\nHost: a\r\0\n\r\n", 505),
    "version, bare LF, bare CR": (b"GET / HTTP/1.2\r\nHost: a\n\r\0\r\n", 400),
    "version, bare CR": (b"GET / HTTP/1.2\r\nHost: a\r\0\r\n\r\n", 505),
    "method, bare LF": (b"G(T / HTTP/1.1\r\nHost: a\n\r\n", 400),
    "method, target": (LONG_TARGET[3:] + b"\r\n\r\n", 400),
    "target, bare LF": (LONG_TARGET + b"\n\r\n", 414),
    "target, bare CR": (LONG_TARGET + b"\r\0\r\n\r\n", 414),
    "target, version": (LONG_TARGET.replace(b"1.1", b"1.2") + b"\r\n\r\n", 414),
    "target, field": (LONG_TARGET + b"\r\nx y: z\r\n\r\n", 414),
    "target, head": (LONG_TARGET.replace(b"/", b"/" + b"a" * 64) + b"\r\n\r\n", 414),
    "method, head": (b"G" * 60 + b"( / HTTP/1.1\r\n\r\n", 400),
    "head, method": (b"G" * 64 + b"( / HTTP/1.1\r\n\r\n", 431),
    "head, target": (b"G" * 60 + b" " + LONG_TARGET[4:] + b"\r\n\r\n", 431),
    "head, bare LF": (LONG_HEAD + b"\n\r\n", 431),
    "bare LF, head": (LONG_HEAD.replace(b"\r\nx", b"\nx") + b"\r\n\r\n", 400),
    "head, bare CR": (LONG_HEAD + b"\r\0\r\n\r\n", 431),
    "bare CR, head": (LONG_HEAD.replace(b"\r\nx", b"\rx") + b"\r\n\r\n", 400),
    "head, version": (LONG_HEAD.replace(b"1.1", b"1.2") + b"\r\n\r\n", 431),
    "trailers, bare LF": (CHUNKED + b"x: " + b"a" * 64 + b"\n\r\n", 431),
    "bare LF, trailers": (CHUNKED + b"x: \n" + b"a" * 64 + b"\r\n\r\n", 400),
    "trailers, bare CR": (CHUNKED + b"x: " + b"a" * 64 + b"\r\0\r\n\r\n", 431),
    "bare CR, trailers": (CHUNKED + b"x: \r" + b"a" * 64 + b"\r\n\r\n", 400),
}


@pytest.mark.parametrize("form", ["compiled", "interpreted", "httptools"])
@pytest.mark.parametrize("name", TWICE_WRONG)
def test_first_proved_error_decides_however_input_is_split(form, name):
    data, status = TWICE_WRONG[name]
    wire, kind = connection_kind(form)
    whole = Seen(wire, kind, [data], True, **SMALL)
    assert whole.statuses == [status] or form == "httptools"
    for cuts in [None, *([at] for at in range(1, len(data)))]:
        assert Seen(wire, kind, pieces_of(data, cuts), True, **SMALL).statuses == whole.statuses, cuts


DAMAGED = st.lists(
    st.sampled_from(
        [
            *(b"GET ", b"POST ", b"get ", b"PRI * HTTP/2.0\r\n", b"PROXY TCP4 ", b"/", b"http://a/b?c", b"*", b" "),
            *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/1.2\r\n", b" HTTP/2.0\r\n", b" HTTP/1.1\r"),
            *(b"Host: a", b"x", b"x: y", b":", b"Transfer-Encoding: chunked", b"Content-Length: 1", b"0\r\n"),
            *(b"\r\n", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\0", b"\x80", b"a" * 15, b"a" * 40),
        ]
    ),
    max_size=14,
).map(b"".join)


@pytest.mark.parametrize("form", ["compiled", "interpreted", "httptools"])
@settings(max_examples=200)
@given(
    data=st.tuples(st.sampled_from([b"", b"GET / HTTP/1.1\r\n", CHUNKED]), DAMAGED).map(b"".join),
    cuts=st.one_of(st.none(), st.lists(st.integers(0, 60), max_size=4)),
    head_size=st.integers(1, 120),
    target_size=st.integers(7, 40),  # any word of a PROXY preamble fits
)
def test_damaged_heads_are_refused_alike_however_they_are_split(form, data, cuts, head_size, target_size):
    limits = {"head_size": head_size, "target_size": target_size}
    pieces = pieces_of(data, cuts and [min(cut, len(data)) for cut in cuts])
    whole = Seen(*connection_kind(form), [data], True, **limits)
    split = Seen(*connection_kind(form), pieces, True, **limits)
    assert split.however_split() == whole.however_split()


class Played:
    """The record of a list of events of both peers: everything observable, in order."""

    def __init__(self, form, events):
        self.trace = []
        self.rig = Rig(load_form(form), body_size=500)
        self._steps = []
        self._lost = False
        for event, *arguments in events:
            getattr(self, event)(*arguments)
            self._look()
        self.lose()
        for step in self._steps:
            self._drive(step)
            assert self.trace[-1] is not WAITING

    # The client and the loop

    def receive(self, data):
        if self._is_reading():
            self.rig.receive(data)

    def end_input(self):
        if self._is_reading():
            self.rig.connection.end_input()

    def pause_writing(self):
        if not self._lost and self.rig.connection.is_writable():
            self.rig.waiting_bytes = 1000
            self.rig.connection.pause_writing()

    def resume_writing(self):
        if not self._lost and not self.rig.connection.is_writable():
            self.rig.waiting_bytes = 0
            self.rig.connection.resume_writing()

    def turn(self):
        self.rig.one_turn()

    def wait(self, seconds):
        if not self._lost:
            self.rig.tick(self.rig.shared.now + seconds)

    def drain(self):
        self.rig.shared.draining = True
        if not self._lost:
            self.rig.connection.drain()

    def lose(self):
        if not self._lost:
            self._lost = True
            self.rig.connection.lose()

    # The application

    def ask(self):
        if self.rig.requests:
            self._steps.append(self.rig.request.receive())
            self._drive(self._steps[-1])

    def send(self, message):
        if self.rig.requests:
            self._steps.append(self.rig.request.send(message))
            self._drive(self._steps[-1])

    def go_on(self, index):
        if self._steps:
            self._drive(self._steps[index % len(self._steps)])

    def cancel(self, index):
        if self._steps:
            self._steps[index % len(self._steps)].close()

    def fail(self, status):
        if self.rig.requests and not self.rig.request.is_complete():
            self.rig.request.fail(status)

    # Private

    def _is_reading(self):
        ended = {"close", "abort"} & {*self.rig.calls}
        return not (self._lost or ended or self.rig.is_paused())

    def _drive(self, step):
        try:
            self.trace.append(drive(step))
        except Exception as error:
            self.trace.append((type(error), str(error)))

    def _look(self):
        rig = self.rig
        connection = rig.connection
        self.trace.append((connection.deadline, connection.writer.deadline, len(rig.requests)))
        self.trace.append((connection.is_idle(), connection.reading))
        self.trace.append((rig.writes.copy(), rig.calls.copy(), [str(error) for error in rig.refused]))


PIECES = [
    GET,
    GET + GET,
    GET[:9],
    b"\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 501\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
    b"HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"4\r\nabcd\r\n",
    b"0\r\n\r\n",
    b"ab",
    b"bad\r\n\r\n",
]
MESSAGES = [
    {"type": "http.response.start", "status": 200},
    {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"2")]},
    {"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0"), (b"connection", b"close")]},
    {"type": "http.response.start", "status": 200, "trailers": True},
    {"type": "http.response.start", "status": 200, "headers": [(b"a b", b"")]},
    {"type": "http.response.body", "body": b"ok"},
    {"type": "http.response.body", "body": b"o", "more_body": True},
    {"type": "http.response.body", "body": bytes(70000), "more_body": True},
    {"type": "http.response.body"},
    {"type": "http.response.trailers", "headers": [(b"x-a", b"1")]},
    {"type": "http.response.early_hint", "links": [b"<a>"]},
]
EVENTS = st.one_of(
    st.tuples(st.just("receive"), st.sampled_from(PIECES)),
    st.tuples(st.just("send"), st.sampled_from(MESSAGES)),
    st.tuples(st.just("wait"), st.sampled_from([1, 6, 40])),
    st.tuples(st.just("fail"), st.sampled_from([500, 503])),
    st.tuples(st.sampled_from(["go_on", "cancel"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["ask", "turn", "turn", "turn", "pause_writing", "resume_writing"])),
    st.tuples(st.sampled_from(["end_input", "drain", "lose"])),
)


@settings(max_examples=300)
@given(st.lists(EVENTS, max_size=30))
def test_forms_act_alike_after_any_events(events):
    assert Played("compiled", events).trace == Played("interpreted", events).trace
