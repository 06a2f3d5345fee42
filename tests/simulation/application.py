"""The application: a `Plan` says what it does for one request, and keeps what it did."""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Callable
from typing import Any, Protocol

Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]

BODILESS = (204, 304)


class Reads(enum.Enum):
    """The part of the request's body that is read before the response."""

    NOTHING = enum.auto()
    SOME = enum.auto()
    ALL = enum.auto()


class Ends(enum.Enum):
    """The way in which a call is to end, at the piece of the response that `Plan.at` says."""

    COMPLETE = enum.auto()
    RAISE = enum.auto()
    RETURN = enum.auto()
    CANCEL = enum.auto()
    AFTER_DISCONNECT = enum.auto()


class Outcome(enum.Enum):
    """The way in which a call did end."""

    COMPLETE = enum.auto()
    RAISED = enum.auto()
    RETURNED = enum.auto()
    CANCELLED = enum.auto()
    LEFT = enum.auto()
    """`receive()` or `send()` reported that the client has left."""


class Surroundings(Protocol):
    """The life that an application is part of."""

    def now(self) -> float: ...

    def block(self, seconds: float) -> None:
        """Block the event loop."""

    def fail(self, text: str) -> None:
        """Add a failure to those of the life."""


class Planned(Exception):
    """Raised by an application that is to fail."""


class Plan:
    """One request. `pieces` are the body of the response, each sent after its pause; `at` is the piece before which
    the call ends early, -2 before anything is sent, -1 after the head. The body is read before the head, or late.

    `calls`, `outcome` and `body_read` are what happened; `problem` is what the application must never see.
    """

    def __init__(self, key: str, rng: random.Random, method: str, body: bytes) -> None:
        self.key = key
        self.method = method
        self.body = body
        self.status = rng.choice((200, 200, 200, 201, 404, 500, *BODILESS))
        self.reads = rng.choice(list(Reads)) if body else Reads.NOTHING
        self.reads_late = rng.random() < 0.15
        self.has_length = rng.random() < 0.5
        self.delay = _pause(rng)
        self.pieces: list[bytes] = []
        if self.status not in BODILESS:
            for index in range(rng.choice((0, 1, 1, 1, 2, 5))):
                size = rng.choice((0, 10, 10, 100, 5000, 70_000, 300_000 if rng.random() < 0.1 else 1))
                self.pieces.append((b"%b/%d;" % (key.encode(), index) * (size // 6 + 1))[:size])
        self.pauses = [_pause(rng) if rng.random() < 0.3 else 0.0 for _ in self.pieces]
        self.separate_end = rng.random() < 0.3
        self.ends = rng.choices(list(Ends), (80, 6, 6, 2, 6))[0]
        self.at = rng.randint(-2, len(self.pieces))
        self.blocks = rng.choice((0.0,) * 60 + (0.3, 3.7))
        self.sends_after_end = rng.random() < 0.03
        self.lags = rng.random() < 0.1
        self.calls = 0
        self.outcome: Outcome | None = None
        self.body_read = bytearray()
        self.read_all = False
        self.problem = ""
        self.began_at = 0.0
        self.ended_at = 0.0
        self.complete_at = 0.0
        self.sent = 0

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)

    def longest(self) -> float:
        """Seconds that the call takes at most, if its client behaves."""
        return self.delay + sum(self.pauses) + self.blocks + 3

    def fields(self) -> list[tuple[bytes, bytes]]:
        fields = [(b"x-id", self.key.encode())]
        if self.has_length and self.status not in BODILESS:
            fields.append((b"content-length", b"%d" % len(self.content)))
        return fields

    async def run(self, receive: Receive, send: Send, life: Surroundings) -> None:
        if not self.reads_late:
            await self._read(receive)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.blocks:
            life.block(self.blocks)
        await self._may_end(-2, receive)
        await send({"type": "http.response.start", "status": self.status, "headers": self.fields()})
        if self.reads_late:
            await self._read(receive)
        await self._may_end(-1, receive)
        pieces = self.pieces
        last = len(pieces) - (not self.separate_end)
        for index, piece in enumerate(pieces):
            await self._may_end(index, receive)
            if self.pauses[index]:
                await asyncio.sleep(self.pauses[index])
            self.sent += 1
            await send({"type": "http.response.body", "body": piece, "more_body": index < last})
        if self.separate_end or not pieces:
            await self._may_end(len(pieces), receive)
            await send({"type": "http.response.body"})
        self.outcome = Outcome.COMPLETE
        self.complete_at = life.now()
        if self.lags:
            await asyncio.sleep(1)
        if self.sends_after_end:
            await self._send_too_much(send)

    async def _read(self, receive: Receive) -> None:
        """Read as much of the body as is planned."""
        if self.reads is Reads.NOTHING:
            return
        while not self.read_all:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            self.body_read += message["body"]
            if not self.body.startswith(self.body_read):
                self.problem = "the application got another body than the client sent"
            self.read_all = not message["more_body"]
            if self.read_all and len(self.body_read) != len(self.body):
                self.problem = "the body ended early for the application"
            if self.reads is Reads.SOME:
                return

    async def _may_end(self, at: int, receive: Receive) -> None:
        if at != self.at or self.ends is Ends.COMPLETE:
            return
        if self.ends is Ends.RAISE:
            raise Planned(self.key)
        if self.ends is Ends.RETURN:
            raise EarlyReturn
        if self.ends is Ends.CANCEL:
            raise asyncio.CancelledError
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ClientLeft

    async def _send_too_much(self, send: Send) -> None:
        """Send a second response to the same request, which must not reach the client."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-id", b"second")]})
            await send({"type": "http.response.body", "body": b"second"})
        except RuntimeError:
            raise Planned(self.key) from None
        except OSError:
            pass


class EarlyReturn(Exception):
    """The application is to return."""


class ClientLeft(Exception):
    """`receive()` has reported the disconnect, after which the application returns."""


class Application:
    """Serves HTTP as the plans say; a WebSocket is planned in websocket.py. `plans` are those by target."""

    def __init__(self, life: Surroundings) -> None:
        self.plans: dict[str, Any] = {}
        self.sessions: dict[str, Any] = {}
        self.lifespan = "off"
        self._life = life

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        known = self.sessions if scope["type"] == "websocket" else self.plans
        plan = known.get(scope["path"])
        if plan is None:
            self._life.fail(f"a request that nobody sent: {scope['path'][:60]}")
            raise Planned("an unknown target")
        plan.calls += 1
        plan.began_at = self._life.now()
        try:
            await plan.run(receive, send, self._life)
        except (EarlyReturn, ClientLeft) as early:
            plan.outcome = Outcome.RETURNED if isinstance(early, EarlyReturn) else Outcome.LEFT
        except OSError:
            plan.outcome = plan.outcome or Outcome.LEFT
            raise
        except asyncio.CancelledError:
            plan.outcome = plan.outcome or Outcome.CANCELLED
            raise
        except BaseException:
            plan.outcome = plan.outcome or Outcome.RAISED
            raise
        finally:
            plan.ended_at = self._life.now()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.lifespan == "slow":
            await asyncio.sleep(1.5)
        await send({"type": "lifespan.shutdown.complete"})


def _pause(rng: random.Random) -> float:
    return rng.choice((0.0, 0.0, 0.0, 0.001, 0.05, 0.5, 1.3, 2.6))
