"""Clients that are slow, silent, or send what is no HTTP. The server must end each, in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pronghorn.http2_constants import FRAME_SIZE_ERROR, PREFACE, PROTOCOL_ERROR
from tests.simulation import verdicts
from tests.simulation.application import Ends, Plan, Reads
from tests.simulation.client import Client
from tests.simulation.loop import EPOCH
from tests.simulation.websocket import Manner, Session
from tests.support.http2 import goaway

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.network import Link, Script

_BAD_REQUEST = b"HTTP/1.1 400 "

# Input, and what the answer that refuses it contains.
GARBAGE = (
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", _BAD_REQUEST),
    (b"GET / HTTP/1.1\nhost: a\n\n", _BAD_REQUEST),
    (b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n", _BAD_REQUEST),
    (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", _BAD_REQUEST),
    (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", _BAD_REQUEST),
    (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", _BAD_REQUEST),
    (b"GET / HTTP/3.0\r\nhost: a\r\n\r\n", b"HTTP/1.1 505 "),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", b"HTTP/1.1 414 "),
    (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n", b"HTTP/1.1 431 "),
    (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 80_000 + b"\r\n\r\n", b"HTTP/1.1 431 "),
    (PREFACE + b"\0\0\0\x09\0\0\0\0\1", goaway(code=PROTOCOL_ERROR)[3:]),
    (PREFACE + b"\xff\xff\xff\x04\0\0\0\0\0", goaway(code=FRAME_SIZE_ERROR)[3:]),
)

# A frame of text.
UNMASKED = b"\x81\x01a"


class Hostile(Client):
    kind = "hostile"

    def __init__(self, life: Life, link: Link) -> None:
        super().__init__(life, link)
        self.plan: Plan | None = None
        self.session: Session | None = None

    def script(self) -> Script:
        ways: tuple[Callable[[], Script], ...] = (
            self._silent,
            self._slow_head,
            self._slow_body,
            self._garbage,
            self._vanishing,
            self._unread,
            self._bad_frame,
        )
        way = self.rng.choice(ways)
        self.life.count(f"hostile: {way.__name__.strip('_').replace('_', ' ')}")
        return way()

    def judge(self) -> None:
        if self.plan is not None:
            verdicts.judge_plan(self.life, self.plan)
        if self.session is not None:
            verdicts.judge_call(self.life, self.session)
            if self.session.echoed:
                self.fail("a frame without a mask was a message for the application")

    def _silent(self) -> Script:
        yield from self.link.until(lambda: False, self.life.patience)
        self._check("first byte", self.link.accepted_at, self.life.config.timeout_first_byte)

    def _slow_head(self) -> Script:
        """A head that never ends, whether more of it arrives or not."""
        link = self.link
        link.send(b"GET / HTTP/1.1\r\nhost:")
        if self.rng.random() < 0.5:
            yield from link.until(lambda: False, self.life.patience)
        else:
            for _ in range(40):
                yield from link.wait(1.0)
                if link.received or not link.is_open():
                    break
                link.send(b" ")
        yield from link.until(lambda: False, self.life.patience)
        self._check("head", link.first_sent_at, self.life.config.timeout_head)
        self._check_answer(b"HTTP/1.1 408 ")

    def _slow_body(self) -> Script:
        link = self.link
        self.plan = plan = self._plan()
        plan.reads, plan.reads_late = Reads.ALL, False
        plan.body = b"x" * 10 + b"y" * 90
        link.send(f"POST /{plan.key} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n".encode() + plan.body[:10])
        for _ in range(self.rng.choice((0, 3))):
            yield from link.wait(1.0)
            link.send(b"y")
        yield from link.until(lambda: False, 1.0)
        began = link.sent_at
        yield from link.until(lambda: False, self.life.patience)
        self._check("body", began, self.life.config.timeout_body)
        self._check_answer(b"HTTP/1.1 408 ")

    def _garbage(self) -> Script:
        link = self.link
        data, refusal = self.rng.choice(GARBAGE)
        link.send(data)
        yield from link.until(lambda: False, 20)
        self.life.check_end(link, "refusal", EPOCH, max(link.accepted_at, link.sent_at))
        self._check_answer(refusal)

    def _vanishing(self) -> Script:
        yield self.rng.choice((0.0, 0.0001, 0.01)), False
        if self.rng.random() < 0.5:
            self.link.send(self.rng.choice((b"G", b"\r\n", PREFACE[:10])))
            yield self.link.latency * self.rng.choice((0.5, 3)), False
        if self.rng.random() < 0.5:
            self.link.reset()
        else:
            self.link.vanish()

    def _unread(self) -> Script:
        """Ask for much, and read nothing."""
        link, life = self.link, self.life
        self.plan = plan = self._plan()
        plan.pieces = [b"z" * 300_000] * 3
        plan.pauses = [0.0] * 3
        link.send(f"GET /{plan.key} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        link.stall()
        yield from link.until(lambda: link.server_closed_at, life.config.timeout_write * 2 + 12)
        if link.server_closed_at is None and not life.is_stopping(life.now()) and plan.calls:
            self.fail("reads nothing, and is not cut off")
        link.close()

    def _bad_frame(self) -> Script:
        """A frame that is not masked, in a session that echoes."""
        link = self.link
        self.session = session = Session(str(link.number), self.rng)
        session.manner = Manner.ECHO
        self.life.application.sessions[f"/{link.number}"] = session
        link.send(self.handshake() + UNMASKED)
        began = self.life.now()
        yield from link.until(lambda: False, self.life.patience)
        self.life.check_end(link, "bad frame", EPOCH, began + 5)

    def _plan(self) -> Plan:
        plan = Plan(f"{self.link.number}.0", self.rng, "GET", b"")
        plan.ends = Ends.COMPLETE
        plan.status = 200
        plan.has_length = False
        plan.delay = 0.0
        plan.blocks = 0.0
        self.life.application.plans[f"/{plan.key}"] = plan
        return plan

    def _check(self, what: str, since: float, seconds: float) -> None:
        if not self._is_turned_away():
            self.life.check_end(self.link, f"timeout of the {what}", since + seconds, since + seconds)

    def _check_answer(self, expected: bytes) -> None:
        link = self.link
        was_served = link.ended_at is not None and not self.life.is_stopping(link.ended_at)
        if was_served and expected not in link.received and not self._is_turned_away():
            self.fail(f"{bytes(link.received[:60])!r} instead of {expected!r}")

    def _is_turned_away(self) -> bool:
        """Return whether the answer is that of a server that has reached its limit."""
        return self.life.config.limit_concurrency is not None and self.link.received.startswith(b"HTTP/1.1 503 ")
