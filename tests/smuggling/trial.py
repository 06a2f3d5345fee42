"""One vector through one front end: what the client got, what the application saw, and whether that agrees.

They disagree if the application sees a request which the front end has not marked as its own, or has read in another
way, or twice; if the answer to one request reaches another; if a mark becomes part of a body; or if a client that comes
after the attacker is not served.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import unittest.mock
from collections.abc import Callable, Iterator
from typing import NamedTuple

import hpack

from pronghorn.http2_constants import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    ERROR_NAMES,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
)
from pronghorn.server.state import ServerState
from tests.smuggling import vectors
from tests.smuggling.checks import Answer, Marks, changes, check_answers
from tests.smuggling.front_ends import FRONT_ENDS, Address, FrontEnd, running
from tests.smuggling.recorder import Recorder
from tests.smuggling.vectors import Vector
from tests.support.http2 import Frame, frame, get, ping, settings, window_update
from tests.support.server import PATIENCE, thread

# A client that gets nothing for so many seconds is taken to get no more.
SILENCE = 1
BRIEFLY = 0.01
# A front end ends its request this many seconds after the client has left. Its own timeout is 5 seconds.
LEFT = 8

# The party that refused.
FRONT = "front end"
PRONGHORN = "pronghorn"

# The server's log lines about clients.
_WARNINGS = ("Invalid HTTP request", "Connection cut off", "Unsupported upgrade request")
_COUNTS = ("", "one", "two", "three", "four")
_MARKED = b"GET /marked HTTP/1.1\r\nHost: a\r\n\r\n"


class Outcome(NamedTuple):
    """`text` is what happened, for the table; `faults` what must not happen, `notes` what the front end rewrote."""

    text: str
    faults: list[str]
    notes: list[str]


# The kind, group and name of the vector.
Key = tuple[str, str, str]
Outcomes = dict[Key, Outcome]

# The methods of `Trial`, and the vectors for each.
KINDS = {"request": vectors.requests, "frames": vectors.frames}


class Trial:
    """A server, a front end of it, and what both did so far."""

    def __init__(
        self, front: FrontEnd, recorder: Recorder, logged: list[str], addresses: tuple[Address, Address]
    ) -> None:
        self._recorder = recorder
        self._logged = logged
        self._one, self._two = addresses
        self._marks = Marks(front.program)
        self.has_crashed = False

    def both(self, kind: str, vector: Vector) -> Outcome:
        """Send a vector twice: the application responds after the body, and before it. The text is of the first."""
        send = getattr(self, kind)
        last, early = send(vector, False), send(vector, True)
        text = early.text if self.has_crashed else last.text
        return Outcome(text, last.faults + early.faults, last.notes + early.notes)

    def request(self, vector: Vector, answers_first: bool) -> Outcome:
        """Send a vector and the marked request over HTTP/1.1."""
        return self._try(self._one, vector.data, answers_first, over_http2=False)

    def frames(self, vector: Vector, answers_first: bool) -> Outcome:
        """Send a vector and the marked request over HTTP/2."""
        return self._try(self._two, vector.data, answers_first, over_http2=True)

    def _try(self, address: Address, data: bytes, answers_first: bool, over_http2: bool) -> Outcome:
        recorder = self._recorder
        recorder.answers_first = answers_first
        first = len(recorder.requests)
        said = len(self._logged)
        answers: list[Answer] = []
        ended = True
        try:
            with _connected(address) as client:
                if over_http2:
                    greeting = PREFACE + settings()
                    _send(client, greeting + data + get(99, b"/marked"))
                    answers, ended = _read_frames(client, self._is_last)
                else:
                    _send(client, data + _MARKED)
                    answers, ended = _read_answers(client, self._is_last)
        except ConnectionRefusedError:
            self.has_crashed = True
        notes = [] if recorder.wait_until_idle(first, LEFT) else ["leaves the request open when the client has left"]
        seen = recorder.requests[first:]
        refused = any(line.startswith("Invalid HTTP request") for line in self._logged[said:])
        faults = list(self._marks.check(seen))
        faults += check_answers(answers, first, len(seen), over_http2)
        faults += self._check_victims()
        faults += self._take_complaints()
        notes += changes(seen)
        if self.has_crashed:
            return Outcome(f"{FRONT} crashes", faults, [*notes, "crashes"])
        return Outcome(_text(answers, refused, ended), faults, notes)

    def _take_complaints(self) -> list[str]:
        """The lines that the server has logged since the last call, other than those about clients."""
        lines = list(self._logged)
        del self._logged[: len(lines)]
        return [line for line in lines if not line.startswith(_WARNINGS)]

    def _is_last(self, answers: list[Answer]) -> bool:
        """Return whether the marked request and another one are answered."""
        numbers = [answer.number for answer in answers if answer.number is not None]
        return len(answers) > 1 and any(
            number < len(self._recorder.requests) and self._recorder.requests[number].target == b"/marked"
            for number in numbers
        )

    def _check_victims(self) -> Iterator[str]:
        """Send requests of another client, over the front end's connections to the server, old and new."""
        recorder = self._recorder
        for _ in range(2):
            first = len(recorder.requests)
            path = b"/victim-%d" % first
            answers: list[Answer] = []
            error = None
            try:
                with _connected(self._one) as client:
                    client.settimeout(PATIENCE)
                    client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                    answers, _ = _read_answers(client, bool)
            except OSError as caught:
                error = caught
            # The front end may still send what the attacker left.
            seen = recorder.requests[first:]
            yield from self._marks.check(seen)
            if not answers and self._refuses():
                self.has_crashed = True
                return
            numbers = [first + at for at, each in enumerate(seen) if each.target == path]
            if len(numbers) != 1 or answers != [Answer(200, numbers[0])]:
                yield f"a victim got {error or answers!r}, and the application {[each.target for each in seen]}"

    def _refuses(self) -> bool:
        """Return whether the front end refuses connections: it has ended."""
        try:
            with _connected(self._one):
                return False
        except OSError as error:
            return isinstance(error, ConnectionRefusedError)


@contextlib.contextmanager
def trying(front: FrontEnd) -> Iterator[Trial]:
    """Run a server and a front end of it."""
    recorder = Recorder()
    logged: list[str] = []

    def warn(_: ServerState, message: str, *arguments: object) -> None:
        logged.append(message % arguments)

    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("pronghorn.error")
    logger.addHandler(handler)
    try:
        with (
            unittest.mock.patch.object(ServerState, "warn", warn),
            thread(recorder, lifespan="off", http2=True, proxy_headers=False, access_log=False) as server,
            running(front, server.port) as addresses,
        ):
            yield Trial(front, recorder, logged, addresses)
    finally:
        logger.removeHandler(handler)


def attempt(name: str, every: int) -> Outcomes:
    """Try each `every`th vector at the front end `name`: the application responds after the body, and before it.

    A front end that ends is started again.
    """
    (front,) = [each for each in FRONT_ENDS if each.name == name]
    chosen = [(kind, vector) for kind, vectors_of in KINDS.items() for vector in vectors_of()[::every]]
    outcomes: Outcomes = {}
    while chosen:
        with trying(front) as trial:
            while chosen and not trial.has_crashed:
                kind, vector = chosen.pop(0)
                outcomes[kind, vector.group, vector.name] = trial.both(kind, vector)
    return outcomes


def _text(answers: list[Answer], refused: bool, ended: bool) -> str:
    served = sum(answer.number is not None for answer in answers)
    statuses = [str(answer.status) for answer in answers if answer.number is None]
    parts = [_COUNTS[served] if served < len(_COUNTS) else str(served)] if served else []
    if refused or statuses:
        parts.append(" ".join([PRONGHORN if refused else FRONT, *statuses[:1]]))
    elif served < 2:
        parts.append("closes" if ended else "waits")
    return ", ".join(parts)


@contextlib.contextmanager
def _connected(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        client.settimeout(SILENCE)
        yield client


def _send(client: socket.socket, data: bytes) -> None:
    """Send as much as the front end takes."""
    with contextlib.suppress(OSError):
        client.sendall(data)


def _receive(client: socket.socket) -> bytes | None:
    """The next bytes, b"" at the end, None in a silence."""
    try:
        return client.recv(65536)
    except TimeoutError:
        return None
    except OSError:
        return b""


def _read_answers(client: socket.socket, is_last: Callable[[list[Answer]], bool]) -> tuple[list[Answer], bool]:
    """Read final responses of HTTP/1.1 until the last one, a silence or the end; return whether it is the end."""
    answers: list[Answer] = []
    buffer = b""
    while True:
        if is_last(answers):
            client.settimeout(BRIEFLY)
        head, found, rest = buffer.partition(b"\r\n\r\n")
        size = _size_of_body(head, rest) if found else None
        if size is None or len(rest) < size:
            received = _receive(client)
            if not received:
                if found and size is None and received is not None:
                    answers.append(_answer(head))
                elif not found and re.match(rb"<|HTTP/1", buffer):
                    # HTTP/0.9, or a head without an end.
                    answers.append(Answer(400, None))
                return answers, received is not None
            buffer += received
            continue
        answer = _answer(head)
        buffer = rest[size:]
        if answer.status == 101:
            return [*answers, answer], False
        if answer.status >= 200:
            answers.append(answer)


def _answer(head: bytes) -> Answer:
    number = re.search(rb"\r\nseen: (\d+)", head, re.IGNORECASE)
    return Answer(int(head.split(b" ")[1]), int(number[1]) if number else None)


def _size_of_body(head: bytes, rest: bytes) -> int | None:
    """The number of bytes of `rest` that are the body; None if it ends with the connection or is not whole yet."""
    status = int(head.split(b" ")[1])
    if status < 200 or status in (204, 304) or re.search(rb"\r\nseen-method: HEAD", head, re.IGNORECASE):
        return 0
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    if length:
        return int(length[1])
    if re.search(rb"\r\ntransfer-encoding: chunked", head, re.IGNORECASE):
        end = rest.find(b"0\r\n\r\n")
        return None if end < 0 else end + 5
    return None


def _read_frames(client: socket.socket, is_last: Callable[[list[Answer]], bool]) -> tuple[list[Answer], bool]:
    """The same for HTTP/2. A reset is an answer, too: the first one of a stream, or that of the connection."""
    decoder = hpack.Decoder()
    answers: dict[int, Answer] = {}
    buffer = b""
    block = b""
    while received := _receive(client):
        buffer += received
        while len(buffer) >= 9 and len(buffer) >= (size := 9 + int.from_bytes(buffer[:3], "big")):
            kind, flags, stream = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big")
            payload, buffer = buffer[9:size], buffer[size:]
            if kind == PING and not flags & ACK:
                _send(client, ping(payload, ACK))
            elif kind == SETTINGS and not flags & ACK:
                _send(client, frame(SETTINGS, ACK))
            elif kind == DATA and payload:
                _send(client, window_update(0, len(payload)))
            elif kind in (RST_STREAM, GOAWAY) and (code := Frame(kind, flags, stream, payload).code) != NO_ERROR:
                # After a response, it only refuses the rest of the request.
                answers.setdefault(stream, Answer(ERROR_NAMES.get(code, hex(code)), None))
            elif kind in (HEADERS, CONTINUATION):
                block += payload[1 : len(payload) - payload[0]] if flags & PADDED and kind == HEADERS else payload
                if flags & END_HEADERS:
                    fields = dict(decoder.decode(block, raw=True))
                    block = b""
                    status = int(fields.get(b":status", b"0"))
                    if status >= 200:
                        number = fields.get(b"seen")
                        answers[stream] = Answer(status, None if number is None else int(number))
        if is_last(list(answers.values())):
            client.settimeout(BRIEFLY)
    return list(answers.values()), received is not None
