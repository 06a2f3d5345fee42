"""The requests of a comparison, and the client that sends them if wrk is not installed."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import cast

import pytest

pytest.importorskip("psutil")
pytest.importorskip("httptools")

from pronghorn.bench import client, load
from pronghorn.bench.load import Client, Load, Wrk
from pronghorn.bench.request import Request, loader
from tests.support.figures import OK
from tests.support.server import PATIENCE


def test_request_is_encoded_for_every_target() -> None:
    request = Request("POST", ("/a", "/b"), [("X-A", "é")], b"\x00")
    sent = b"Host: 127.0.0.1\r\nX-A: \xe9\r\nContent-Length: 1\r\n\r\n\x00"
    assert request.messages() == {
        "/a": b"POST /a HTTP/1.1\r\n" + sent,
        "/b": b"POST /b HTTP/1.1\r\n" + sent,
    }
    assert str(request) == "POST /a and /b with 1 bytes"
    assert Request(fields=[("host", "x")]).messages()["/"] == b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def test_load_is_wrk_or_our_own_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert loader(Request(), 7, tmp_path) == Wrk(tmp_path / "requests.lua", 7)
    assert str(tmp_path / "request-0") in (tmp_path / "requests.lua").read_text()
    monkeypatch.setattr("shutil.which", lambda name: None)
    ours = loader(Request(targets=("/a", "/b")), 7, tmp_path)
    assert ours == Client([tmp_path / "request-0", tmp_path / "request-1"], 7)
    assert ours.arguments(8000, "/", 3)[-5:] == ["8000", "3", "7", *(str(tmp_path / f"request-{n}") for n in (0, 1))]


class Talk:
    """A conversation of the client with a server that `answers`."""

    def __init__(self, answers: bytes, close: bool = False) -> None:
        self.heard: list[bytes] = []
        self.answers, self.close = answers, close
        self.open: set[Answering] = set()

    def load(self) -> Load:
        """Load it for a moment with two targets in turn."""

        async def main() -> str:
            server = await asyncio.get_running_loop().create_server(lambda: Answering(self), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            line = await client.load(port, 0.2, 2, list(Request(targets=("/a", "/b")).messages().values()))
            server.close()
            async with asyncio.timeout(PATIENCE):
                while self.open or len(asyncio.all_tasks()) > 1:
                    await asyncio.sleep(0)
            return line

        return load.parse(asyncio.run(main()))


class Answering(asyncio.Protocol):
    """One connection to the server."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._talk.open.add(self)
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._talk.heard.append(data)
        self._transport.write(self._talk.answers)
        if self._talk.close:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._talk.open.remove(self)


def test_client_alternates_requests_and_counts_answers() -> None:
    talk = Talk(OK)
    seen = talk.load()
    assert not seen.errors
    assert seen.requests > 10
    assert seen.bytes == seen.requests * len(OK)
    assert 0 < seen.p50_us <= seen.p99_us
    targets = [head.split()[1] for head in talk.heard]
    assert abs(targets.count(b"/a") - targets.count(b"/b")) <= 2


@pytest.mark.parametrize(
    "answer",
    [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"HTTP/1.1 200 OK\r\n\r\nuntil the end"],
    ids=["with a length", "until the end"],
)
def test_client_connects_again_when_the_server_closes(answer: bytes) -> None:
    seen = Talk(answer, close=True).load()
    assert not seen.errors
    assert seen.requests > 4


def test_client_skips_informational_responses() -> None:
    talk = Talk(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    seen = talk.load()
    assert not seen.errors
    assert seen.requests <= len(talk.heard)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (OK.replace(b"200 OK", b"500 No"), "status"),
        (OK.replace(b"Length: 5", b"Length: 9"), "read"),
        (b"nonsense\r\n\r\n", "read"),
        (b"", "read"),
    ],
    ids=["an error", "too short", "not HTTP", "nothing"],
)
def test_client_counts_errors(answer: bytes, error: str) -> None:
    assert Talk(answer, close=error == "read").load().errors.keys() == {error}


def test_client_counts_failures_to_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen = load.parse(asyncio.run(client.load(port, 0.01, 3, [b""])))
    assert (seen.requests, seen.errors) == (0, {"connect": 3})
