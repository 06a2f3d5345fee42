"""Clients of HTTP/1, and what their answers must be."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation import verdicts
from tests.simulation.application import BODILESS, Ends, Outcome, Plan
from tests.simulation.client import Client
from tests.simulation.verdicts import Seen

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.network import Link, Script


# Bytes of a body that the server discards, to keep the connection.
DISCARDED = 262_144


class Malformed(Exception):
    """The server has sent what is no HTTP."""


@dataclass
class Answer:
    """A response; `framing` is "length", "chunked" or "close", and `is_complete` says that it has come to its end."""

    status: int
    fields: dict[bytes, bytes]
    framing: str
    body: bytearray = field(default_factory=bytearray)
    is_complete: bool = False

    @property
    def closes(self) -> bool:
        return self.fields.get(b"connection") == b"close" or self.framing == "close"

    @property
    def key(self) -> str:
        return self.fields.get(b"x-id", b"").decode()


class Answers:
    """Reads the responses that arrive on a link. `interim` counts those with 100."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._left = 0
        self.current: Answer | None = None
        self.interim = 0

    def read(self, method: str, expects: bool) -> Answer | None:
        """The next response if it is complete, to a request with `method` that `expects` a 100 before."""
        data = self._link.received
        while self.current is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return None
            self.current = self._head(bytes(data[:end]), method)
            del data[: end + 4]
            if self.current.status == 100:
                if not expects:
                    raise Malformed("100 to a request that does not expect it")
                self.interim += 1
                self.current = None
        answer = self.current
        self._read_body(answer, data)
        if answer.is_complete:
            self.current = None
            return answer
        return None

    def _head(self, head: bytes, method: str) -> Answer:
        line, *lines = head.split(b"\r\n")
        if not line.startswith(b"HTTP/1.1 ") or not line[9:12].isdigit():
            raise Malformed(f"malformed status line: {line[:60]!r}")
        fields = {}
        for each in lines:
            name, colon, value = each.partition(b": ")
            if not colon or name.lower() in fields:
                raise Malformed(f"malformed or repeated field: {each[:60]!r}")
            fields[name.lower()] = value
        status = int(line[9:12])
        if method == "HEAD" or status in BODILESS or status < 200:
            self._left = 0
            return Answer(status, fields, "length")
        if fields.get(b"transfer-encoding") == b"chunked":
            self._left = -1
            return Answer(status, fields, "chunked")
        if b"content-length" in fields:
            self._left = int(fields[b"content-length"])
            return Answer(status, fields, "length")
        return Answer(status, fields, "close")

    def _read_body(self, answer: Answer, data: bytearray) -> None:
        if answer.framing == "close":
            answer.body += data
            data.clear()
            answer.is_complete = self._link.ended == "eof"
        elif answer.framing == "length":
            taken = data[: self._left]
            del data[: self._left]
            answer.body += taken
            self._left -= len(taken)
            answer.is_complete = not self._left
        else:
            self._read_chunks(answer, data)

    def _read_chunks(self, answer: Answer, data: bytearray) -> None:
        """`_left` is what is left of a chunk with its CRLF, -1 before a chunk."""
        while data:
            if self._left < 0:
                end = data.find(b"\r\n")
                if end < 0:
                    return
                size = int(data[:end], 16)
                if not size:
                    if len(data) < end + 4:
                        return
                    if data[end + 2 : end + 4] != b"\r\n":
                        raise Malformed("trailers that nobody sent")
                    del data[: end + 4]
                    answer.is_complete = True
                    return
                del data[: end + 2]
                self._left = size + 2
            if len(data) < self._left and self._left <= 2:
                return
            if len(data) >= self._left:
                if data[self._left - 2 : self._left] != b"\r\n":
                    raise Malformed("a chunk that is longer than it says")
                answer.body += data[: self._left - 2]
                del data[: self._left]
                self._left = -1
            else:
                taken = min(len(data), self._left - 2)
                answer.body += data[:taken]
                del data[:taken]
                self._left -= taken


@dataclass
class Ask:
    """A request, and its answer. `head` and `body` are its bytes, `is_sent` that all were given to the network.
    `answered_at` is the time at which the client had the whole answer.
    """

    plan: Plan
    head: bytes
    body: bytes
    closes: bool
    expects: bool
    is_sent: bool = False
    sent_at: float = 0.0
    answered_at: float = 0.0
    answer: Answer | None = None

    def ends_connection(self) -> bool:
        """Return whether no further answer may be expected: the server has said so, or has broken off."""
        answer = self.answer
        # A body that the application leaves unread cannot be skipped if it is long, or was not asked for.
        is_left = not self.plan.read_all and (self.expects or len(self.body) > DISCARDED)
        return answer is None or answer.closes or self.closes or self.plan.outcome is not Outcome.COMPLETE or is_left


class Conversation(Client):
    """A client that asks one thing after another, perhaps without waiting for the answers, and may then misbehave."""

    kind = "http1"

    def __init__(self, life: Life, link: Link) -> None:
        super().__init__(life, link)
        self.answers = Answers(link)
        self.asks: list[Ask] = []
        self.is_http10 = self.rng.random() < 0.15
        self.stopped_waiting = False

    def script(self) -> Script:
        rng, link = self.rng, self.link
        yield rng.choice((0.0, 0.0, 0.01, 0.7)), False
        for _ in range(rng.choice((1, 1, 2, 4))):
            batch = [self._ask() for _ in range(1 if rng.random() < 0.7 else rng.randint(2, 5))]
            misbehaves = rng.random() < 0.12
            if len(batch) == 1 and batch[0].expects:
                yield from self._send_expecting(batch[0])
            else:
                self._send(batch)
            if misbehaves and (yield from self._misbehave()):
                return
            for ask in batch:
                if not (yield from self._receive(ask)):
                    return
            if not link.is_open() or not batch[0].is_sent:
                return  # without its body, what follows would be read as that
            if link.half_closes:
                yield from self._see_end("an end after that of the client", 0, batch[-1].plan)
                return
            last = batch[-1].answer
            if last is None or last.closes or batch[-1].closes:
                yield from self._see_end("a close that was announced", 0, batch[-1].plan)
                return
            if rng.random() < 0.15:
                if not batch[-1].ends_connection():
                    yield from self._see_end("keep-alive", self.life.config.timeout_keep_alive, batch[-1].plan)
                return
            yield rng.choice((0.0, 0.0, 0.02, 0.9)), False

    def judge(self) -> None:
        """Check every answer, once the life is over."""
        for index, ask in enumerate(self.asks):
            verdicts.judge_plan(self.life, ask.plan)
            answer = ask.answer
            if answer is not None:
                whole = Seen(answer.status, answer.key, bytes(answer.body), True, answer.framing == "length")
                verdicts.judge_answer(self.life, ask.plan, whole)
                if self.life.is_told_to_stop(ask.plan.began_at) and not answer.closes:
                    self.fail(f"{ask.plan.key}: answered during the shutdown without announcing the close")
                continue
            if (partial := self.answers.current) is not None:
                seen = Seen(partial.status, partial.key, bytes(partial.body), False)
                verdicts.judge_answer(self.life, ask.plan, seen)
            earlier = self.asks[index - 1] if index else None
            had_closed = self._was_late(earlier, ask) or (
                earlier is not None
                # A response to HEAD looks complete before it is ended.
                and (earlier.ends_connection() or verdicts.may_be_ended_unnoticed(self.life, self.link, earlier.plan))
            )
            if ask.is_sent and not self._was_destroyed(index):
                ready_at = max(ask.sent_at, earlier.answered_at if earlier else 0.0)
                verdicts.judge_unanswered(self.life, self.link, ask.plan, had_closed, ready_at)
            # No later request can be answered, which `received` would show.
            return
        if self.link.received:
            self.fail(f"more than the answers: {bytes(self.link.received[:80])!r}")

    def _was_destroyed(self, index: int) -> bool:
        """Return whether the server has broken off a later response with a reset, which destroys what is on its way."""
        later = self.asks[index + 1 :]
        return self.link.resets and any(each.plan.calls and each.plan.outcome is not Outcome.COMPLETE for each in later)

    def _was_late(self, earlier: Ask | None, ask: Ask) -> bool:
        """Return whether the request was sent when the server could have closed the idle connection already."""
        if self.link.server_closed_at is None:
            return False
        config = self.life.config
        timeout = config.timeout_first_byte if earlier is None else config.timeout_keep_alive
        since = self.link.accepted_at if earlier is None else earlier.plan.complete_at
        return since + timeout <= self.link.server_closed_at < ask.sent_at + self.link.latency / 2

    def _ask(self) -> Ask:
        rng = self.rng
        index = len(self.asks)
        method = rng.choice(("GET", "GET", "HEAD", "POST", "POST", "PUT"))
        body = b""
        if method in ("POST", "PUT"):
            body = rng.randbytes(rng.choice((0, 1, 20, 3000, 70_000, 300_000 if rng.random() < 0.2 else 5)))
        key = f"{self.link.number}.{index}"
        plan = Plan(key, rng, method, body)
        if plan.status in BODILESS:
            plan.has_length = False
        self.life.application.plans[f"/{key}"] = plan
        closes = rng.random() < 0.08
        fields = ["host: a"]
        if self.is_http10:
            closes = rng.random() < 0.5
            if not closes:
                fields.append("connection: keep-alive")
        elif closes:
            fields.append("connection: close")
        expects = bool(body) and not self.is_http10 and rng.random() < 0.25
        if expects:
            fields.append("expect: 100-continue")
        content = body
        if body or method in ("POST", "PUT"):
            if not self.is_http10 and rng.random() < 0.4:
                fields.append("transfer-encoding: chunked")
                content = chunked(body, rng)
            else:
                fields.append(f"content-length: {len(body)}")
        version = "1.0" if self.is_http10 else "1.1"
        head = f"{method} /{key} HTTP/{version}\r\n" + "\r\n".join(fields) + "\r\n\r\n"
        ask = Ask(plan, head.encode(), content, closes, expects)
        self.asks.append(ask)
        self.life.count(("http/1.0" if self.is_http10 else "http/1.1") + (" with a body" if body else ""))
        return ask

    def _send(self, batch: list[Ask]) -> None:
        data = b"".join(ask.head + ask.body for ask in batch)
        for ask in batch:
            ask.is_sent = True
            ask.sent_at = self.life.now()
        if len(batch) > 1:
            self.life.count("pipelined", len(batch))
        if self.rng.random() < 0.3 and len(data) > 2:
            middle = self.rng.randint(1, len(data) - 1)
            self.link.send(data[:middle])
            self.link.send(data[middle:])
        else:
            self.link.send(data)

    def _send_expecting(self, ask: Ask) -> Script:
        """Send the body once the server wants it, or after a while."""
        self.life.count("expect: 100-continue")
        self.link.send(ask.head)
        ask.sent_at = self.life.now()
        yield from self.link.until(lambda: self._read_into(ask) or self.answers.interim, 1.0)
        if ask.answer is None:
            self.answers.interim = 0
            ask.is_sent = True
            self.link.send(ask.body)

    def _read_into(self, ask: Ask) -> bool:
        if ask.answer is None:
            try:
                ask.answer = self.answers.read(ask.plan.method, ask.expects)
            except (Malformed, ValueError) as error:
                self.fail(str(error))
                self.stopped_waiting = True
                return True
            if ask.answer is not None:
                ask.answered_at = self.life.now()
                self.life.note(self.link.number, f"{ask.plan.key}: {ask.answer.status} {len(ask.answer.body)}")
        return ask.answer is not None

    def _receive(self, ask: Ask):  # type: ignore[no-untyped-def]
        """Wait for the answer; return whether the conversation may go on."""
        link, plan = self.link, ask.plan
        patience = plan.longest() + self.life.patience
        may_wait = any(each.plan.ends is Ends.AFTER_DISCONNECT for each in self.asks)
        if may_wait:
            patience = self.rng.choice((0.5, 4.0))
        yield from link.until(lambda: self._read_into(ask), patience)
        self._read_into(ask)  # what ends with the stream
        if ask.answer is not None and not self.stopped_waiting:
            return True
        if link.is_open():
            if not may_wait and not self.stopped_waiting:
                self.fail(f"{plan.key}: no answer within {patience:.1f} s: {plan.outcome}")
            link.close()
        return False

    def _misbehave(self):  # type: ignore[no-untyped-def]
        """Do something that a client may do; return whether it has left."""
        rng, link = self.rng, self.link
        yield rng.choice((0.0, 0.001, 0.1, 1.1)), False
        what = rng.choice(("close", "reset", "half-close", "half-close", "stall", "long stall"))
        if what == "close":
            link.vanish()
            return True
        if what == "reset":
            link.reset()
            return True
        if what == "half-close":
            link.half_close()
        elif what == "stall":
            link.stall()
            yield rng.choice((0.1, 1.0)), False
            link.read_on()
        else:
            link.stall()
            yield self.life.config.timeout_write * 3 + 8, False
            link.read_on()
        return False

    def _see_end(self, what: str, seconds: float, plan: Plan) -> Script:
        """Wait until the server closes, which it must do `seconds` after the response of `plan` was complete.

        The client may see that later, and without a body also before the application has ended it.
        """
        now = self.life.now()
        yield from self.link.until(lambda: False, seconds + self.life.patience)
        if plan.outcome is Outcome.COMPLETE:
            since = plan.complete_at
            self.life.check_end(self.link, what, min(since, now) + seconds, max(since, now) + seconds)


def chunked(body: bytes, rng: random.Random) -> bytes:
    """The body in chunks of any size."""
    pieces = []
    at = 0
    while at < len(body):
        size = rng.randint(1, max(1, len(body) // 3))
        piece = body[at : at + size]
        pieces.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        at += size
    return b"".join(pieces) + b"0\r\n\r\n"
