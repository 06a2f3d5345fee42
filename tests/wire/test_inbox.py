"""The inbox of an event loop: members read, process and write in turn, and an error of one reaches no other."""

from __future__ import annotations

import contextvars
import select
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tests use epoll")

OUTBOX, READ, RECEIVE, LEAVE, FAIL, CRASH = "outbox", "read", "receive", "leave", "fail", "crash"


class Loop:
    """Has the reader that the inbox registers."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], object]] = {}
        self.context = contextvars.Context()

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        self.readers[fd] = callback
        self.context = contextvars.copy_context()

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    def run(self) -> None:
        """Run what is ready, as one iteration of a loop does."""
        ready, _, _ = select.select(list(self.readers), [], [], 0)
        for fd in ready:
            self.readers[fd]()


class Rig:
    """An inbox in a loop. `log` has the calls of its members, each with the member's number."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.loop = Loop()
        self.soon: list[Callable[[], None]] = []
        self.outbox = wire.outbox.Outbox(self.soon.append)
        self.inbox = wire.inbox.Inbox(select.epoll, self.loop, self.outbox, contextvars.copy_context())
        self.log: list[tuple[Any, ...]] = []
        self.sockets: list[socket.socket] = []
        self.clients: list[socket.socket] = []
        self.members: list[Any] = []
        rig = self

        class Member(wire.endpoint.Endpoint):  # type: ignore[misc]
            def __init__(self, number: int) -> None:
                self.number = number
                self._reads_much = False
                self.on_receive: Callable[[], None] = lambda: None

            def read(self, fd: int) -> bytes | None:
                data: bytes | None = super().read(fd)
                rig.log.append((READ, self.number))
                return data

            def receive(self, data: bytes) -> None:
                rig.log.append((RECEIVE, self.number, len(data)))
                rig.outbox.add(self)
                self.on_receive()

            def leave_inbox(self, failed: bool) -> None:
                rig.log.append((FAIL if failed else LEAVE, self.number))
                rig.remove(self.number)

            def leave_outbox(self) -> None:
                rig.log.append((OUTBOX, self.number))

            def crash(self, error: Exception) -> None:
                rig.log.append((CRASH, self.number, str(error)))

        self.kind = Member

    def connect(self) -> Any:
        """A new member, with a client whose socket has its number."""
        ours, client = socket.socketpair()
        ours.setblocking(False)
        self.sockets.append(ours)
        self.clients.append(client)
        member = self.kind(len(self.members))
        self.members.append(member)
        self.inbox.add(ours.fileno(), member)
        return member

    def remove(self, number: int) -> None:
        self.inbox.remove(self.sockets[number].fileno())

    def send(self, number: int, data: bytes = b"hello") -> None:
        self.clients[number].sendall(data)

    def close(self) -> None:
        for number, sock in enumerate(self.sockets):
            self.remove(number)
            sock.close()
            self.clients[number].close()


@pytest.fixture
def rig(wire: Any) -> Iterator[Rig]:
    rig = Rig(wire)
    yield rig
    rig.close()


def test_members_read_then_process_then_write(rig: Rig) -> None:
    for number in range(3):
        rig.connect()
        rig.send(number)
    rig.loop.run()
    steps = [entry[0] for entry in rig.log]
    assert steps == [READ] * 3 + [RECEIVE] * 3 + [OUTBOX] * 3


def test_large_input_is_processed_before_the_next_member_reads(rig: Rig) -> None:
    for number in range(2):
        rig.connect()
        rig.send(number, bytes(20_000))
    rig.loop.run()
    assert [entry[0] for entry in rig.log] == [READ, RECEIVE, READ, RECEIVE, OUTBOX, OUTBOX]


def test_nothing_is_called_without_input(rig: Rig) -> None:
    rig.connect()
    rig.loop.run()
    assert rig.log == []


def test_input_that_was_not_read_is_read_in_the_next_iteration(rig: Rig) -> None:
    rig.connect()
    rig.send(0, bytes(100_000))
    rig.loop.run()
    rig.loop.run()
    sizes = [entry[2] for entry in rig.log if entry[0] == RECEIVE]
    assert sizes == [65536, 100_000 - 65536]


def test_more_members_than_a_batch_are_all_served(rig: Rig) -> None:
    for number in range(150):
        rig.connect()
        rig.send(number)
    served: set[int] = set()
    while len(served) < 150:
        rig.log.clear()
        rig.loop.run()
        now = {entry[1] for entry in rig.log if entry[0] == RECEIVE}
        assert now
        assert not now & served
        served |= now


def test_error_of_one_member_reaches_no_other(rig: Rig) -> None:
    def fail() -> None:
        raise ValueError("mine")

    for _ in range(3):
        rig.connect()
    rig.members[1].on_receive = fail
    for number in range(3):
        rig.send(number)
    rig.loop.run()
    assert [entry for entry in rig.log if entry[0] == CRASH] == [(CRASH, 1, "mine")]
    assert [entry[1] for entry in rig.log if entry[0] == RECEIVE] == [0, 1, 2]
    assert [entry[1] for entry in rig.log if entry[0] == OUTBOX] == [0, 1, 2]


def test_error_while_reading_reaches_no_other(rig: Rig) -> None:
    first, _ = rig.connect(), rig.connect()
    rig.inbox.remove(rig.sockets[0].fileno())

    class Broken(rig.wire.endpoint.Endpoint):  # type: ignore[misc, name-defined]
        def read(self, fd: int) -> bytes | None:
            raise ValueError("mine")

        def crash(self, error: Exception) -> None:
            rig.log.append((CRASH, first.number, str(error)))

    rig.inbox.add(rig.sockets[0].fileno(), Broken())
    rig.send(0)
    rig.send(1)
    rig.loop.run()
    assert (CRASH, 0, "mine") in rig.log
    assert (RECEIVE, 1, 5) in rig.log


def test_end_of_stream_is_left_to_the_transport(rig: Rig) -> None:
    rig.connect()
    rig.clients[0].close()
    rig.loop.run()
    assert rig.log == [(READ, 0), (LEAVE, 0)]


def test_error_is_reported_as_such(rig: Rig) -> None:
    rig.connect()
    rig.sockets[0].send(b"never read")
    rig.clients[0].close()  # with unread bytes: ours is reset
    rig.loop.run()
    assert rig.log == [(FAIL, 0)]


def test_interrupt_loses_no_input_of_others(rig: Rig) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        rig.connect()
    rig.members[0].on_receive = rig.members[1].on_receive = interrupt
    for number in range(3):
        rig.send(number)
    with pytest.raises(KeyboardInterrupt):
        rig.loop.run()
    assert [entry[1] for entry in rig.log if entry[0] == RECEIVE] == [0, 1, 2]
    assert [entry[1] for entry in rig.log if entry[0] == OUTBOX] == [0, 1, 2]


def test_inbox_knows_whether_it_has_input(rig: Rig) -> None:
    assert not rig.inbox.has_input()
    rig.connect()
    assert not rig.inbox.has_input()
    rig.send(0)
    assert rig.inbox.has_input()
    rig.loop.run()
    assert not rig.inbox.has_input()


def test_bytes_before_the_end_of_the_stream_are_processed(rig: Rig) -> None:
    rig.connect()
    rig.send(0)
    rig.clients[0].close()
    rig.loop.run()
    rig.loop.run()
    assert [entry[0] for entry in rig.log] == [READ, RECEIVE, OUTBOX, READ, LEAVE]


def test_member_that_another_removes_still_processes_what_it_has_read(rig: Rig) -> None:
    first, _ = rig.connect(), rig.connect()
    first.on_receive = lambda: rig.remove(1)
    rig.send(0)
    rig.send(1)
    rig.loop.run()
    assert (RECEIVE, 1, 5) in rig.log


def test_member_that_another_removes_does_not_see_the_end_of_its_stream(rig: Rig) -> None:
    first, _ = rig.connect(), rig.connect()
    first.on_receive = lambda: rig.remove(1)
    rig.send(0)
    rig.clients[1].close()
    rig.loop.run()
    assert (LEAVE, 1) not in rig.log


def test_removed_member_that_is_added_again_reads_what_came_meanwhile(rig: Rig) -> None:
    member = rig.connect()
    rig.remove(0)
    rig.send(0)
    rig.loop.run()
    assert rig.log == []
    rig.inbox.add(rig.sockets[0].fileno(), member)
    rig.loop.run()
    assert (RECEIVE, 0, 5) in rig.log


def test_inbox_is_in_the_loop_only_while_it_has_members(rig: Rig) -> None:
    assert not rig.loop.readers
    rig.connect()
    rig.connect()
    assert len(rig.loop.readers) == 1
    rig.remove(0)
    assert len(rig.loop.readers) == 1
    rig.remove(1)
    rig.remove(1)
    assert not rig.loop.readers


def test_inbox_does_not_run_in_the_context_in_which_a_member_is_added(rig: Rig) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    contextvars.copy_context().run(lambda: (variable.set("the application's"), rig.connect()))
    assert variable not in rig.loop.context


def test_member_that_removes_the_last_one_ends_the_iteration(rig: Rig) -> None:
    member = rig.connect()
    member.on_receive = lambda: rig.remove(0)
    rig.send(0)
    rig.loop.run()
    assert not rig.loop.readers
    assert rig.log == [(READ, 0), (RECEIVE, 0, 5), (OUTBOX, 0)]


class Limited:
    """An epoll object at a limit of the system."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.fileno = self._epoll.fileno
        self.close = self._epoll.close

    def register(self, fd: int, events: int) -> None:
        raise OSError(28, "No space left on device")


def test_limit_of_the_system_is_reported_and_leaves_nothing(wire: Any) -> None:
    loop = Loop()
    inbox = wire.inbox.Inbox(Limited, loop, wire.outbox.Outbox(lambda callback: None), contextvars.Context())
    with pytest.raises(OSError, match="No space left"):
        inbox.add(0, wire.endpoint.Endpoint())
    assert not loop.readers


def test_output_leaves_without_another_iteration_of_the_loop(rig: Rig) -> None:
    rig.connect()
    rig.send(0)
    rig.loop.run()
    assert rig.log[-1] == (OUTBOX, 0)
    assert rig.soon == []
