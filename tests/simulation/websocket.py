"""A client of WebSockets, and the application behind it."""

from __future__ import annotations

import asyncio
import enum
import random
from typing import TYPE_CHECKING, Any

from tests.simulation import verdicts
from tests.simulation.application import EarlyReturn, Outcome, Planned, Receive, Send, Surroundings
from tests.simulation.client import Client
from tests.simulation.loop import EPOCH
from tests.simulation.network import LEAST_READ
from tests.support.frames import BINARY, CLOSE, PING, PONG, TEXT, fragments, frame

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.network import Link, Script


class Manner(enum.Enum):
    """The way in which the application treats the session."""

    ECHO = enum.auto()
    DENY = enum.auto()
    RAISE_BEFORE = enum.auto()
    RAISE = enum.auto()
    RETURN = enum.auto()
    CLOSE = enum.auto()


class Session:
    """The application's side. It echoes `most` messages at most, unless its manner is to echo all."""

    def __init__(self, key: str, rng: random.Random) -> None:
        self.key = key
        self.manner = rng.choices(list(Manner), (60, 8, 8, 8, 8, 8))[0]
        self.delay = rng.choice((0.0, 0.0, 0.3))
        self.most = rng.randint(0, 3)
        self.pause = rng.choice((0.0, 0.0, 0.0, 0.2))
        self.calls = 0
        self.echoed = 0
        self.outcome: Outcome | None = None
        self.began_at = self.ended_at = 0.0

    async def run(self, receive: Receive, send: Send, life: Surroundings) -> None:
        await receive()
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.manner is Manner.DENY:
            await send({"type": "websocket.close"})
            self.outcome = Outcome.COMPLETE
            return
        if self.manner is Manner.RAISE_BEFORE:
            raise Planned(self.key)
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.outcome = Outcome.COMPLETE
                return
            if self.manner is not Manner.ECHO and self.echoed == self.most:
                if self.manner is Manner.RAISE:
                    raise Planned(self.key)
                if self.manner is Manner.RETURN:
                    raise EarlyReturn
                await send({"type": "websocket.close", "code": 4000})
                self.outcome = Outcome.COMPLETE
                return
            if self.pause:
                await asyncio.sleep(self.pause)
            echo: dict[str, Any] = {key: value for key, value in message.items() if key != "type"}
            await send({"type": "websocket.send", **echo})
            self.echoed += 1


class Talk(Client):
    kind = "websocket"

    def __init__(self, life: Life, link: Link) -> None:
        super().__init__(life, link)
        self.session = Session(str(link.number), self.rng)
        life.application.sessions[f"/{link.number}"] = self.session
        self.status = 0
        self.sent: list[bytes] = []
        self.echoed: list[bytes] = []
        self.said_at = 0.0
        self.code: int | None = None
        self.answers_pings = True

    def script(self) -> Script:
        rng, link, life = self.rng, self.link, self.life
        life.count("websocket")
        link.send(self.handshake())
        if not (yield from link.until(lambda: self._read() or self.status, life.patience)):
            if link.is_open():
                self.fail("no answer to the handshake")
            return
        if self.status != 101:
            yield from link.until(lambda: self._read() and False, 5)
            return
        for _ in range(rng.choice((0, 1, 3, 40))):
            self._say(rng.choice((0, 5, 200, 70_000 if rng.random() < 0.2 else 100)))
            if rng.random() < 0.2:
                yield from link.until(lambda: self._read() or self.code is not None, 0.3)
            if self.code is not None or not link.is_open():
                return
        what = rng.choice(("close", "close", "wait", "wait", "silent", "silent", "vanish", "reset", "half-close"))
        if what == "close":
            yield from link.until(
                lambda: self._read() or self.code is not None or len(self.echoed) == len(self.sent), life.patience
            )
            link.send(frame(CLOSE, (1001).to_bytes(2, "big")))
            yield from link.until(lambda: self._read() or self.code is not None, life.patience)
            now = life.now()
            yield from link.until(lambda: self._read() and False, life.patience)
            life.check_end(link, "closing handshake", EPOCH, max(now, link.sent_at))
        elif what == "wait":
            yield from link.until(lambda: self._read() or self.code is not None, rng.choice((1, 12)))
            if self.code is not None:
                now = life.now()
                yield from link.until(lambda: self._read() and False, life.patience)
                life.check_end(link, "closing handshake", EPOCH, max(now, link.sent_at))
        elif what == "silent":
            self.answers_pings = False
            life.network.faults["unanswered pings"] += 1
            yield from link.until(lambda: len(self.echoed) == len(self.sent) or self._read(), 1)
            now = life.now()
            yield from link.until(lambda: self._read() and False, life.patience)
            # A ping and its timeout, each on a tick; or the application's close, which is not answered either.
            life.check_end(link, "lost WebSocket", EPOCH, now + 4 + 3 + 10 + 6)
        elif what == "half-close":
            link.half_close()
            yield from link.until(lambda: self._read() and False, 20)
        elif what == "vanish":
            link.vanish()
        else:
            link.reset()

    def judge(self) -> None:
        session, link, life = self.session, self.link, self.life
        verdicts.judge_call(life, session)
        if self.echoed != self.sent[: len(self.echoed)]:
            self.fail("other messages than those sent, or out of order")
        if session.manner is Manner.ECHO and len(self.echoed) < len(self.sent) and self._had_time_for_echoes():
            self.fail(f"{len(self.echoed)} of {len(self.sent)} messages came back")
        if link.left_at is not None or life.was_forced or life.gave_up(link) or not session.calls:
            return
        if not self.status:
            if not life.is_stopping(link.ended_at) and link.half_closed_at is None:
                self.fail(f"no answer to the handshake: {session.outcome}")
        elif self.status == 101:
            expected = session.manner in (Manner.ECHO, Manner.RAISE, Manner.RETURN, Manner.CLOSE)
            if not expected:
                self.fail("accepted by nobody")
        elif self.status == 403:
            if session.manner is not Manner.DENY:
                self.fail("denied by nobody")
        elif self.status == 503:
            if life.config.limit_concurrency is None:
                self.fail("503 without a limit")
        elif session.manner is not Manner.RAISE_BEFORE and session.outcome is not Outcome.CANCELLED:
            self.fail(f"status {self.status}: {session.outcome}")
        end = link.ended_at or link.left_at or 0.0
        if self.status == 101 and self.code is None and life.is_told_to_stop(end - 2 - link.slack):
            self.fail("still open long after the shutdown began")
        if self.code is not None and self.code != 1001:
            codes = {
                Manner.RAISE: 1011,
                Manner.RETURN: 1000,
                Manner.CLOSE: 4000,
            }
            allowed = {codes.get(session.manner), 1012 if life.stop_at < float("inf") else None}
            allowed |= {1011, 1000} if session.outcome is Outcome.CANCELLED else set()
            if self.code not in allowed:
                self.fail(f"closed with {self.code}: {session.manner}")
            if self.code == codes.get(session.manner) and len(self.echoed) < session.echoed:
                self.fail(f"{len(self.echoed)} of {session.echoed} messages arrived before the close")

    def _had_time_for_echoes(self) -> bool:
        """Return whether all messages should have come back before the end of the session, whoever ended it."""
        life, link = self.life, self.link
        ends = (life.stop_at, link.half_closed_at, link.left_at, link.ended_at)
        way = 2 * link.latency * (len(self.sent) + sum(map(len, self.sent)) / LEAST_READ) + link.slack
        longest = way + self.session.pause * len(self.sent) + life.blocked + 1
        return self.said_at + longest < min(end for end in ends if end is not None)

    def _say(self, size: int) -> None:
        text = (f"{len(self.sent)}:" + "é" * size)[:size].encode() if size % 2 else self.rng.randbytes(size)
        opcode = TEXT if size % 2 else BINARY
        self.sent.append(text)
        self.said_at = self.life.now()
        self.life.count("websocket messages")
        if len(text) > 2 and self.rng.random() < 0.2:
            middle = self.rng.randint(1, len(text) - 1)
            ping = frame(PING, b"between") if self.rng.random() < 0.5 else b""
            self.link.send(fragments(opcode, text[:middle], text[middle:], between=ping))
        else:
            self.link.send(frame(opcode, text))

    def _read(self) -> None:
        """Process what has arrived. Returns None, for conditions that go on."""
        data = self.link.received
        if not self.status:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            self.status = int(data[9:12])
            self.life.note(self.link.number, f"handshake: {self.status}")
            del data[: end + 4]
        if self.status != 101:
            return
        while len(data) >= 2:
            start, size = 2, data[1]
            if size > 125:
                start = 4 if size == 126 else 10
                if len(data) < start:
                    return
                size = int.from_bytes(data[2:start], "big")
            if len(data) < start + size:
                return
            opcode, payload = data[0] & 15, bytes(data[start : start + size])
            del data[: start + size]
            self._on_frame(opcode, payload)

    def _on_frame(self, opcode: int, payload: bytes) -> None:
        if self.code is not None:
            if opcode != PONG:  # to a ping that was on its way
                self.fail(f"a frame after the close frame: {opcode}")
        elif opcode in (TEXT, BINARY):
            self.echoed.append(payload)
        elif opcode == PING:
            if self.answers_pings:
                self.link.send(frame(PONG, payload))
        elif opcode == CLOSE:
            self.code = int.from_bytes(payload[:2], "big")
            self.life.note(self.link.number, f"close frame: {self.code}, {len(self.echoed)} of {len(self.sent)}")
            if self.answers_pings:
                self.link.send(frame(CLOSE, payload[:2]))
