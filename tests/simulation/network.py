"""The simulated network: it carries bytes between the clients' scripts and real sockets of the server, late, in pieces,
or not at all.

A `Link` is one TCP connection. Its two ends are a pair of Unix sockets, whose calls take effect at once: one belongs to
the server, the other to the network. What only TCP has is added: addresses, acknowledged bytes, and the reset that a
server causes when it closes before it has read everything, or that answers what arrives later.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import random
import select
import socket
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

SERVER = ("10.0.0.1", 8000)
FIRST_PORT = 20000

# Of the 232 bytes of TCP_INFO, those up to `tcpi_bytes_acked`.
_TCP_INFO = 128

# Pieces that one client's bytes are split into: with any latency, they arrive before the server's timeouts.
MOST_SPLITS = 12

# Bytes that a slow client reads at a time, if so many have been written.
LEAST_READ = 3000

# Seconds until the network tries again to pass bytes to a server that does not read.
_RETRY = 0.2

# A wait of a client's script: seconds, and whether what arrives ends it.
Wait = tuple[float, bool]
Script = Generator[Wait, None, None]


class Accepted(socket.socket):
    """The server's end of a link."""

    link: Link

    def getpeername(self) -> tuple[str, int]:
        if self.link.was_reset:
            raise OSError(errno.ENOTCONN, "the client has reset the connection")
        return self.link.address

    def getsockname(self) -> tuple[str, int]:
        return SERVER

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        if (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO):
            return bytes(_TCP_INFO - 8) + self.link.acknowledged.to_bytes(8, "little")
        return super().getsockopt(level, option, size) if size else super().getsockopt(level, option)

    def setsockopt(self, level: int, option: int, value: Any, *rest: Any) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.link.resets = True
        super().setsockopt(level, option, value, *rest)

    def close(self) -> None:
        if self.fileno() >= 0:
            self.link.on_server_closes(self.link.resets or _has_unread(self))
        super().close()


class Listening(socket.socket):
    """The socket that the server listens on."""

    def __init__(self, network: Network) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.bind("")  # to a free name
        self._network = network

    def getsockname(self) -> Any:
        return SERVER

    def accept(self) -> tuple[socket.socket, Any]:
        if self._network.next_error is not None:
            error, self._network.next_error = self._network.next_error, None
            raise error
        fd, _ = self._accept()  # type: ignore[attr-defined]
        link = self._network.queued.popleft()
        sock = Accepted(fileno=fd)
        sock.link = link
        link.on_accepted(sock)
        return sock, link.address


class Network:
    """All links, and a queue of events in virtual time. `faults` counts what went wrong on purpose."""

    def __init__(self, read_clock: Callable[[], float], note: Callable[[int, str], None]) -> None:
        self.read_clock = read_clock
        self.note = note
        self.listening = Listening(self)
        self.name = socket.socket.getsockname(self.listening)
        self.queued: deque[Link] = deque()
        self.links: list[Link] = []
        self.faults: Counter[str] = Counter()
        self.next_error: OSError | None = None
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._poll = select.epoll()
        self._by_fd: dict[int, Link] = {}

    def after(self, seconds: float, event: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.read_clock() + seconds, next(self._numbers), event))

    def next_event(self) -> float:
        return self._events[0][0] if self._events else float("inf")

    def run_until(self, now: float) -> None:
        while self._events and self._events[0][0] <= now:
            heapq.heappop(self._events)[2]()

    def notice_output(self) -> None:
        """Begin to carry what the server has written."""
        found = [self._by_fd[fd] for fd, _ in self._poll.poll(0)] if self._by_fd else []
        for link in sorted(found, key=lambda each: each.number):
            link.on_output()

    def watch(self, link: Link) -> None:
        fd = link.sock.fileno()
        self._by_fd[fd] = link
        self._poll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def watch_again(self, link: Link) -> None:
        self._poll.modify(link.sock.fileno(), select.EPOLLIN | select.EPOLLONESHOT)

    def forget(self, link: Link) -> None:
        fd = link.sock.fileno()
        if self._by_fd.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def close(self) -> None:
        for link in self.links:
            link.sock.close()
            if link.accepted is not None:
                socket.socket.close(link.accepted)
        self.listening.close()
        self._poll.close()


class Link:
    """One connection as its client sees it. `received` is what has arrived and no script has taken; `ended` is "eof" or
    "reset" once the server has ended its stream.

    `left_at` is the time when the client went away, `half_closed_at` when it ended its stream, `server_closed_at` when
    the server closed; `sent_too_late` says that more has arrived after that. While `stalls`, the client reads nothing.
    """

    def __init__(self, network: Network, number: int, rng: random.Random) -> None:
        self.number = number
        self.address = (f"10.1.{number >> 8}.{number & 255}", FIRST_PORT + number)
        self.received = bytearray()
        self.total = 0
        self.acknowledged = 0
        self.ended: str | None = None
        self.accepted: Accepted | None = None
        self.accepted_at = 0.0
        self.was_reset = False
        self.sent_too_late = False
        self.resets = False
        self.left_at: float | None = None
        self.half_closes = False
        self.half_closed_at: float | None = None
        self.ended_at: float | None = None
        self.server_closed_at: float | None = None
        self.first_sent_at = self.sent_at = 0.0
        self.stalls = False
        self.rng = rng
        self._network = network
        self._outgoing: deque[bytes | Callable[[], None]] = deque()
        self._pumps = False
        self._carries = False
        self._waiting = 0
        self._ends_wait = False
        self._script: Script | None = None
        # The network of this client: latency, and the chance that bytes are split.
        self.latency = rng.choice((0.0002, 0.002, 0.03, 0.2))
        self._splits = rng.choice((0.0, 0.1, 0.6))
        self._splits_left = MOST_SPLITS
        self._piece = rng.choice((1, 7, 300, 5000))
        self._read_size = rng.choice((100_000, 100_000, 20_000, LEAST_READ))
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.buffer_size = rng.choice((0, 0, 20_000, 5000))
        if self.latency > 0.1:  # in small steps, long responses would take minutes
            self.buffer_size, self._read_size = 0, 100_000

    @property
    def slack(self) -> float:
        """Seconds until what either side has sent has surely arrived, unless it is much."""
        return MOST_SPLITS * 2 * self.latency

    # For scripts

    def start(self, script: Script) -> None:
        """Connect, then run `script`."""
        self._script = script
        self._connect()

    def send(self, data: bytes) -> None:
        """Send bytes after those sent before."""
        self._outgoing.append(data)
        self._pump_later()

    def half_close(self) -> None:
        """End the client's stream after what was sent before."""
        self.half_closes = True
        self._outgoing.append(self._shut_down)
        self._pump_later()

    def close(self) -> None:
        """Go away at once, with a reset if something is unread."""
        self._leave("closes")

    def vanish(self) -> None:
        """Close in the midst of things."""
        self._leave("vanish", is_fault=True)

    def reset(self) -> None:
        """Go away at once with a reset."""
        self.was_reset = True
        self._leave("reset", is_fault=True)

    def is_open(self) -> bool:
        """Return whether the client is there and the server has not ended its stream."""
        return self.ended is None and self.left_at is None

    def stall(self) -> None:
        self.stalls = True
        self._network.faults["stall"] += 1

    def read_on(self) -> None:
        self.stalls = False
        self._carry_later()

    def wait(self, seconds: float) -> Iterator[Wait]:
        """Until something arrives, or for `seconds` at most."""
        if self.ended is None:
            yield seconds, True

    def until(self, is_true: Callable[[], object], seconds: float) -> Generator[Wait, None, bool]:
        """Wait until `is_true` returns something true. Return false after `seconds`, or if the server has ended."""
        end = self._network.read_clock() + seconds
        while not is_true():
            left = end - self._network.read_clock()
            if left <= 0 or not self.is_open():
                return False
            yield left, True
        return True

    # For the server's socket

    def on_accepted(self, sock: Accepted) -> None:
        self.accepted = sock
        self.accepted_at = self._network.read_clock()
        if self.buffer_size:
            socket.socket.setsockopt(sock, socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffer_size)

    def on_server_closes(self, resets: bool) -> None:
        self.server_closed_at = self._network.read_clock()
        self._network.note(self.number, "server resets" if resets else "server closes")
        if resets:
            self._network.after(self.latency, self._get_reset)

    # For the network

    def on_output(self) -> None:
        if not self.stalls:
            self._carry_later()

    def _connect(self) -> None:
        network = self._network
        try:
            self.sock.connect(network.name)
        except BlockingIOError:  # the queue is full
            network.after(_RETRY, self._connect)
            return
        except OSError:
            self.ended = "refused"
            network.note(self.number, "refused")
            self._resume()
            return
        network.queued.append(self)
        network.watch(self)
        network.note(self.number, "connects")
        self._resume()

    def _resume(self) -> None:
        """Run the script up to its next wait."""
        self._waiting += 1
        if self._script is None:
            return
        try:
            seconds, self._ends_wait = next(self._script)
        except StopIteration:
            self._script = None
            if self.is_open():
                self.close()
            return
        waiting = self._waiting
        self._network.after(seconds, lambda: self._resume() if waiting == self._waiting else None)

    def _wake(self) -> None:
        if self._ends_wait:
            self._ends_wait = False
            self._resume()

    def _pump_later(self) -> None:
        if not self._pumps and self._outgoing:
            self._pumps = True
            self._network.after(self.latency * (0.5 + self.rng.random()), self._pump)

    def _pump(self) -> None:
        """Pass the next piece to the server."""
        self._pumps = False
        if self.sock.fileno() < 0 or not self._outgoing:
            return
        item = self._outgoing.popleft()
        if not isinstance(item, bytes):
            item()
        else:
            size = len(item)
            if self._splits_left and self.rng.random() < self._splits:
                size = self.rng.randint(1, self._piece)
                self._splits_left -= 1
                self._network.faults["split"] += 1
            try:
                sent = self.sock.send(item[:size]) if item else 0
            except BlockingIOError:
                self._outgoing.appendleft(item)
                self._pumps = True
                self._network.after(_RETRY, self._pump)
                return
            except OSError:  # the server has closed: TCP answers with a reset
                self._outgoing.clear()
                self.sent_too_late = True
                self._network.after(self.latency, self._get_reset)
                return
            self.sent_at = self._network.read_clock()
            self.first_sent_at = self.first_sent_at or self.sent_at
            if sent < len(item):
                self._outgoing.appendleft(item[sent:])
        self._pump_later()

    def _shut_down(self) -> None:
        if self.ended is None:
            self._network.faults["half-close"] += 1
            self.half_closed_at = self._network.read_clock()
            self._network.note(self.number, "half-closes")
            self.sock.shutdown(socket.SHUT_WR)

    def _carry_later(self) -> None:
        if not self._carries and self.sock.fileno() >= 0 and self.ended is None:
            self._carries = True
            self._network.after(self.latency * (0.5 + self.rng.random()), self._carry)

    def _carry(self) -> None:
        """Take what the server has written."""
        self._carries = False
        if self.sock.fileno() < 0 or self.ended is not None or self.stalls:
            return
        try:
            data = self.sock.recv(self._read_size)
        except BlockingIOError:
            self._network.watch_again(self)
            return
        except ConnectionResetError:
            self._get_reset()
            return
        if not data:
            self._end("reset" if self.resets else "eof")
            return
        self.received += data
        self.total += len(data)
        self.acknowledged += len(data)
        self._network.watch_again(self)
        self._wake()

    def _get_reset(self) -> None:
        """Lose what has not arrived yet."""
        if self.is_open():
            self._end("reset")

    def _end(self, how: str) -> None:
        self.ended = how
        self.ended_at = self._network.read_clock()
        self._network.note(self.number, f"sees {how} after {self.total}")
        self._network.forget(self)
        self.sock.close()
        self._wake()

    def _leave(self, how: str, is_fault: bool = False) -> None:
        if self.sock.fileno() >= 0:
            if is_fault:
                self._network.faults[how] += 1
            self._network.forget(self)
            self.sock.close()
        if self.left_at is None:
            self.left_at = self._network.read_clock()
            self._network.note(self.number, how)
        self._outgoing.clear()


def _has_unread(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
