"""Lines to a stream that is read slowly, or not at all."""

from __future__ import annotations

import io
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from served import PATIENCE, SOURCES

pytest.importorskip("fcntl", reason="Windows has no such outlet")

from pronghorn import outlet
from pronghorn.outlet import LIMIT, Outlet, State

LINE = b"x" * 999 + b"\n"
TOO_MANY = 2 * LIMIT // len(LINE)


@dataclass
class Stream:
    """A stream, and where its lines come out."""

    read_fd: int
    write_fd: int

    def __post_init__(self) -> None:
        self.text = io.TextIOWrapper(io.BufferedWriter(io.FileIO(self.write_fd, "w")), newline="\n")
        self.outlet = Outlet(self.write_fd)

    def write(self, lines: bytes) -> None:
        self.outlet.write(lines, self.text)

    def read(self, size: int) -> bytes:
        """So many bytes."""
        data = b""
        while len(data) < size:
            assert select.select([self.read_fd], [], [], PATIENCE)[0]
            data += os.read(self.read_fd, 65536)
        return data

    def read_all(self) -> bytes:
        """What has been written, with the lines that are kept."""
        data = bytearray()
        os.set_blocking(self.read_fd, False)
        end = time.monotonic() + PATIENCE
        while self.outlet.state is not State.OPEN:
            assert time.monotonic() < end
            data += self._some()
        while part := self._some():
            data += part
        return bytes(data)

    def _some(self) -> bytes:
        try:
            return os.read(self.read_fd, 65536)
        except BlockingIOError:
            return b""


def socket_pair() -> tuple[int, int]:
    first, second = socket.socketpair()
    return first.detach(), second.detach()


@pytest.fixture(params=["pipe", "socket", "pipe of another user"])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    ends = socket_pair() if request.param == "socket" else os.pipe()
    if request.param == "pipe of another user":

        def refuse(*arguments: object) -> int:
            raise PermissionError

        monkeypatch.setattr(os, "open", refuse)
    made = Stream(*ends)
    yield made
    made.outlet._held.close()
    made.text.close()
    os.close(made.read_fd)


def test_lines_are_written(stream: Stream) -> None:
    stream.write(LINE)
    assert stream.read(len(LINE)) == LINE


def test_lines_that_do_not_fit_come_later_and_in_order(stream: Stream) -> None:
    lines = [b"%d\n" % number for number in range(100_000)]
    for first in range(0, len(lines), 100):
        stream.write(b"".join(lines[first : first + 100]))
    assert stream.read_all() == b"".join(lines)
    assert stream.outlet.take_dropped() == 0


def test_nobody_waits_and_what_is_too_much_is_counted(stream: Stream) -> None:
    for _ in range(TOO_MANY):
        stream.write(LINE)
    assert stream.outlet._size <= LIMIT
    written = stream.read_all()
    assert len(written) >= LIMIT - len(LINE)
    assert written.count(b"\n") + stream.outlet.take_dropped() == TOO_MANY
    assert set(written.split(b"\n")) == {LINE[:-1], b""}


def test_lines_are_written_again_after_a_loss(stream: Stream) -> None:
    for _ in range(TOO_MANY):
        stream.write(LINE)
    stream.read_all()
    stream.write(b"again\n")
    assert stream.read(6) == b"again\n"


def test_a_line_longer_than_the_bound_is_not_lost(stream: Stream) -> None:
    line = b"x" * (LIMIT + 1) + b"\n"
    stream.write(line)
    assert stream.read_all() == line


def test_others_who_have_the_stream_may_wait_for_it(stream: Stream) -> None:
    stream.write(LINE)
    assert os.get_blocking(stream.write_fd)


def test_what_was_printed_before_comes_before(stream: Stream) -> None:
    stream.text.write("printed\n")
    stream.write(b"logged\n")
    assert stream.read(15) == b"printed\nlogged\n"


def test_lines_follow_the_descriptor(stream: Stream) -> None:
    stream.write(b"before\n")
    assert stream.read(7) == b"before\n"
    assert stream.outlet.flush(time.monotonic() + PATIENCE)
    read, write = os.pipe()
    os.dup2(write, stream.write_fd)
    os.close(write)
    stream.write(b"behind\n")
    assert os.read(read, 100) == b"behind\n"
    os.close(read)


def test_flush_waits_for_the_reader(stream: Stream) -> None:
    for _ in range(TOO_MANY // 4):
        stream.write(LINE)
    reader = threading.Thread(target=stream.read, args=(TOO_MANY // 4 * len(LINE),))
    reader.start()
    assert stream.outlet.flush(time.monotonic() + PATIENCE)
    reader.join(PATIENCE)
    assert not reader.is_alive()


def test_flush_gives_up_once(stream: Stream) -> None:
    for _ in range(TOO_MANY):
        stream.write(LINE)
    assert not stream.outlet.flush(time.monotonic() + 0.01)
    assert not stream.outlet.flush(time.monotonic() + 3600)
    stream.read_all()
    assert stream.outlet.flush(time.monotonic() + PATIENCE)


def test_a_reader_that_is_gone_for_good_ends_nothing(stream: Stream) -> None:
    for _ in range(TOO_MANY):
        stream.write(LINE)
    read, other = os.pipe()
    os.dup2(read, stream.read_fd)
    assert stream.outlet.flush(time.monotonic() + PATIENCE)
    os.close(read)
    os.close(other)
    assert stream.outlet.take_dropped() > 0


def test_a_reader_that_has_gone_is_an_error(stream: Stream) -> None:
    read, other = os.pipe()
    os.dup2(read, stream.read_fd)
    with pytest.raises(BrokenPipeError):
        stream.write(LINE)
    os.close(read)
    os.close(other)


def test_a_default_timeout_of_sockets_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getdefaulttimeout", lambda: 5.0)
    read, write = socket_pair()
    made = Stream(read, write)
    made.write(LINE)
    assert made.read(len(LINE)) == LINE
    assert os.get_blocking(write)
    made.outlet._held.close()
    made.text.close()
    os.close(read)


def test_processes_do_not_mix_their_lines() -> None:
    program = """
import logging, sys
from pronghorn import log
log.configure(log.LOGGING_CONFIG, None, True, False)
access = log.AccessLog.create(logging.getLogger("pronghorn.access"))
for _ in range(400):
    access.write([sys.argv[1] * 100] * 50)
"""
    read, write = os.pipe()
    started = [
        subprocess.Popen([sys.executable, "-c", program, letter], stdout=write, env={"PYTHONPATH": str(SOURCES)})
        for letter in "abc"
    ]
    os.close(write)
    with open(read, "rb") as file:
        lines = file.read().splitlines()
    assert [each.wait(PATIENCE) for each in started] == [0, 0, 0]
    assert set(lines) == {letter * 100 for letter in (b"a", b"b", b"c")}


def test_a_forked_child_leaves_its_parents_lines_to_it() -> None:
    program = """
import logging, os, sys
from pronghorn import log
log.configure(log.LOGGING_CONFIG, None, True, False)
access = log.AccessLog.create(logging.getLogger("pronghorn.access"))
for _ in range(500):
    access.write(["p" * 999])
child = os.fork()
if not child:
    access.write(["c" * 999])
    sys.exit()
print("forked", file=sys.stderr, flush=True)
os.waitpid(child, 0)
"""
    read, write = os.pipe()
    started = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        stdout=write,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(SOURCES)},
    )
    os.close(write)
    assert started.stderr is not None
    with started.stderr, open(read, "rb") as file:
        assert started.stderr.readline() == b"forked\n"
        lines = file.read().splitlines()
    assert started.wait(PATIENCE) == 0
    assert (lines.count(b"p" * 999), lines.count(b"c" * 999)) == (500, 1)


def test_a_stream_in_the_place_of_a_standard_one_has_no_outlet(capsys: pytest.CaptureFixture[str]) -> None:
    assert outlet.outlet_of(sys.stdout) is None
    assert outlet.outlet_of(io.StringIO()) is None
    assert outlet.outlet_of(None) is None
