"""A client of HTTP/2 with several streams, flow control in both directions, and reasons to leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pronghorn.http2_constants import (
    ACK,
    CANCEL,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LEAST_FRAME_SIZE,
    NO_ERROR,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from tests.simulation import verdicts
from tests.simulation.application import BODILESS, Ends, Plan
from tests.simulation.client import Client
from tests.simulation.loop import EPOCH
from tests.simulation.verdicts import Seen
from tests.support import http2 as frames
from tests.support.http2 import Frame

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.network import Link, Script


@dataclass
class Stream:
    """A request; `left` is what the windows have not admitted of its body, `credit` what the server may send."""

    plan: Plan
    number: int
    left: bytes
    window: int
    opened_at: float
    status: int = 0
    key: str = ""
    body: bytearray = field(default_factory=bytearray)
    credit: int = 0
    is_complete: bool = False
    reset: int | None = None
    was_cancelled: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_complete or self.reset is not None or self.was_cancelled


class Streams(Client):
    kind = "http2"

    def __init__(self, life: Life, link: Link) -> None:
        super().__init__(life, link)
        self.streams: dict[int, Stream] = {}
        self.last: int | None = None
        self.window = 65535
        self.stream_window = 65535
        self.initial = self.rng.choice((65535, 65535, 1000 if link.latency < 0.01 else 20_000, 1_000_000))
        self.credit = 65535

    def script(self) -> Script:
        rng, link = self.rng, self.link
        link.send(PREFACE + frames.settings((INITIAL_WINDOW_SIZE, self.initial)))
        for _ in range(rng.choice((1, 1, 2, 3))):
            opened = [self._open() for _ in range(rng.choice((1, 1, 3, 6)))]
            misbehaves = rng.random() < 0.12
            if misbehaves and (yield from self._misbehave(opened)):
                return
            patience = max(stream.plan.longest() for stream in opened) + self.life.patience
            if any(stream.plan.ends is Ends.AFTER_DISCONNECT for stream in opened):
                patience = rng.choice((0.5, 4.0))
            if not (yield from link.until(lambda opened=opened: self._read(opened), patience)):
                if link.is_open() and patience > 4:
                    waiting = [stream.plan.key for stream in opened if not stream.is_over]
                    self.fail(f"no answer within {patience:.1f} s: {waiting}")
                link.close()
                return
            if self.last is not None or not link.is_open():
                break
            yield rng.choice((0.0, 0.0, 0.02, 0.9)), False
        began = self.life.now()
        if rng.random() < 0.3:
            yield from link.until(lambda: self._read([]) and False, self.life.patience)
            self.life.check_end(link, "keep-alive of HTTP/2", EPOCH, began + self.life.config.timeout_keep_alive)
        elif rng.random() < 0.5:
            link.send(frames.goaway())

    def judge(self) -> None:
        for stream in self.streams.values():
            plan = stream.plan
            verdicts.judge_plan(self.life, plan)
            if stream.status:
                seen = Seen(stream.status, stream.key, bytes(stream.body), stream.is_complete)
                verdicts.judge_answer(self.life, plan, seen)
            if stream.is_complete or stream.was_cancelled:
                continue
            if stream.reset is not None:
                self._judge_reset(stream)
                continue
            was_told = self.last is not None and stream.number > self.last
            verdicts.judge_unanswered(self.life, self.link, plan, was_told, stream.opened_at)

    def _judge_reset(self, stream: Stream) -> None:
        """Check that the server had a reason to reset a stream before the end of its response."""
        plan, life = stream.plan, self.life
        broke_off = plan.ends is not Ends.COMPLETE and plan.at >= -1 and stream.reset != NO_ERROR
        if not (broke_off or self.link.half_closes or life.gave_up(self.link) or life.is_stopping(self.link.ended_at)):
            self.fail(f"{plan.key}: reset with {stream.reset}: {plan.outcome}")

    def _open(self) -> Stream:
        rng = self.rng
        number = 2 * len(self.streams) + 1
        method = rng.choice((b"GET", b"GET", b"HEAD", b"POST"))
        body = b""
        if method == b"POST":
            body = rng.randbytes(rng.choice((0, 1, 20, 3000, 70_000)))
        key = f"{self.link.number}.{number}"
        plan = Plan(key, rng, method.decode(), body)
        if plan.status in BODILESS:
            plan.has_length = False
        self.life.application.plans[f"/{key}"] = plan
        self.life.count("http/2" + (" with a body" if body else ""))
        pseudo = (
            (b":method", method),
            (b":scheme", b"http"),
            (b":authority", b"a"),
            (b":path", f"/{key}".encode()),
        )
        self.link.send(frames.headers(number, *pseudo, ends=not body))
        stream = Stream(plan, number, body, self.stream_window, self.life.now(), credit=self.initial)
        self.streams[number] = stream
        self._send_body(stream)
        return stream

    def _send_body(self, stream: Stream) -> None:
        while stream.left and not stream.was_cancelled and stream.reset is None:
            size = min(len(stream.left), LEAST_FRAME_SIZE, self.window, stream.window)
            if size <= 0:
                return
            piece, stream.left = stream.left[:size], stream.left[size:]
            self.window -= size
            stream.window -= size
            self.link.send(frames.data(stream.number, piece, ends=not stream.left))

    def _read(self, awaited: list[Stream]) -> bool:
        """Process the frames that have arrived; return whether all of `awaited` are over."""
        data = self.link.received
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            size = int.from_bytes(data[:3], "big")
            frame = Frame(data[3], data[4], int.from_bytes(data[5:9], "big"), bytes(data[9 : 9 + size]))
            del data[: 9 + size]
            self._on_frame(frame)
        return all(stream.is_over for stream in awaited)

    def _on_frame(self, frame: Frame) -> None:
        link = self.link
        stream = self.streams.get(frame.stream)
        if frame.stream and stream is None:
            self.fail(f"a frame on stream {frame.stream}")
        elif frame.kind == SETTINGS and not frame.flags & ACK:
            self._set(frame.payload)
            link.send(frames.frame(SETTINGS, ACK))
        elif frame.kind == PING and not frame.flags & ACK:
            link.send(frames.ping(frame.payload, ACK))
        elif frame.kind == GOAWAY:
            self.last = frame.last
            if frame.code != NO_ERROR:
                self.fail(f"GOAWAY with {frame.code}")
            self.life.note(link.number, f"GOAWAY {frame.last}")
        elif frame.kind == WINDOW_UPDATE:
            if stream is None:
                self.window += frame.number
            else:
                stream.window += frame.number
            for each in self.streams.values():
                self._send_body(each)
        elif stream is not None:
            self._on_stream_frame(stream, frame)

    def _on_stream_frame(self, stream: Stream, frame: Frame) -> None:
        if stream.is_complete and (frame.kind != RST_STREAM or frame.code != NO_ERROR):
            self.fail(f"{stream.plan.key}: a frame after the end of the response: {frame.kind}")
        if frame.kind == RST_STREAM:
            if not stream.is_complete:
                stream.reset = frame.code
            stream.left = b""
            self.life.note(self.link.number, f"{stream.plan.key}: reset with {frame.code}")
        elif frame.kind == HEADERS:
            fields = dict(frames.decode(frame.payload))
            if stream.status or not frame.flags & END_HEADERS:
                self.fail(f"{stream.plan.key}: a second head")
            stream.status = int(fields[b":status"])
            stream.key = fields.get(b"x-id", b"").decode()
        elif frame.kind == DATA:
            stream.body += frame.payload
            self.credit -= len(frame.payload)
            stream.credit -= len(frame.payload)
            if min(self.credit, stream.credit) < 0:
                self.fail(f"{stream.plan.key}: more content than the windows allow")
            if frame.payload:
                self._give_credit(stream, len(frame.payload), frame.ends)
        if frame.ends:
            stream.is_complete = True
            text = f"{stream.plan.key}: {stream.status} {len(stream.body)}"
            self.life.note(self.link.number, text)

    def _give_credit(self, stream: Stream, size: int, is_last: bool) -> None:
        update = frames.window_update(0, size)
        self.credit += size
        if not is_last:
            stream.credit += size
            update += frames.window_update(stream.number, size)
        self.link.send(update)

    def _set(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2], "big") == INITIAL_WINDOW_SIZE:
                value = int.from_bytes(payload[at + 2 : at + 6], "big")
                for stream in self.streams.values():
                    stream.window += value - self.stream_window
                self.stream_window = value

    def _misbehave(self, opened: list[Stream]):  # type: ignore[no-untyped-def]
        """Do something that a client may do; return whether it has left."""
        rng, link = self.rng, self.link
        yield rng.choice((0.0, 0.001, 0.1, 1.1)), False
        self._read([])
        what = rng.choice(("close", "reset", "cancel", "cancel", "stall", "half-close"))
        if what == "close":
            link.vanish()
            return True
        if what == "reset":
            link.reset()
            return True
        if what == "cancel":
            stream = rng.choice(opened)
            if not stream.is_over:
                self.life.network.faults["cancelled stream"] += 1
                stream.was_cancelled = True
                link.send(frames.rst_stream(stream.number, CANCEL))
        elif what == "half-close":
            if not any(stream.left for stream in opened):
                link.half_close()
        else:
            link.stall()
            yield rng.choice((0.1, 1.0)), False
            link.read_on()
        return False
