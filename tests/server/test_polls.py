"""kqueue with the interface of `select.epoll`, on a kqueue, or on one that is made of epoll."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.server import polls
from pronghorn.server.polls import Kqueue

ADD, DELETE, READ = 1, 2, -1


class Substitute:
    """The part of `select.kqueue` that `Kqueue` uses."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.fileno = self._epoll.fileno
        self.close = self._epoll.close

    def control(self, changes: list[Any] | None, limit: int, timeout: float | None = None) -> list[Any]:
        for change in changes or ():
            assert change.filter == READ
            if change.flags == ADD:
                self._epoll.register(change.ident, select.EPOLLIN)
            else:
                assert change.flags == DELETE
                self._epoll.unregister(change.ident)
        if not limit:
            return []
        return [SimpleNamespace(ident=fd, flags=0) for fd, _ in self._epoll.poll(timeout, limit)]


def kevent(ident: int, kind: int, flags: int) -> Any:
    return SimpleNamespace(ident=ident, filter=kind, flags=flags)


@pytest.fixture
def kqueue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kqueue]:
    if polls.open_poll is None:
        pytest.skip("the system has neither")
    if not hasattr(select, "kqueue"):
        names = {"kqueue": Substitute, "kevent": kevent, "KQ_FILTER_READ": READ, "KQ_EV_ADD": ADD}
        for name, value in {**names, "KQ_EV_DELETE": DELETE}.items():
            monkeypatch.setattr(select, name, value, raising=False)
    kqueue = Kqueue()
    yield kqueue
    kqueue.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def ready(kqueue: Kqueue) -> list[int]:
    return [fd for fd, _ in kqueue.poll(0, 10)]


def test_readable_descriptor_is_reported(kqueue: Kqueue, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    kqueue.register(near.fileno(), 1)
    assert ready(kqueue) == []
    far.send(b"x")
    assert ready(kqueue) == [near.fileno()]


def test_end_of_stream_is_reported(kqueue: Kqueue, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    kqueue.register(near.fileno(), 1)
    far.close()
    assert ready(kqueue) == [near.fileno()]


def test_unregistered_descriptor_is_not_reported(kqueue: Kqueue, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    kqueue.register(near.fileno(), 1)
    far.send(b"x")
    kqueue.unregister(near.fileno())
    assert ready(kqueue) == []


def test_kqueue_itself_is_readable(kqueue: Kqueue, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    kqueue.register(near.fileno(), 1)
    far.send(b"x")
    assert select.select([kqueue.fileno()], [], [], 0)[0] == [kqueue.fileno()]
