"""Writing lines to a stream with a slow reader or none."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
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

from tests.support.server import PATIENCE, SOURCES, wait_until

pytest.importorskip("fcntl", reason="Windows has no such outlet")

from pronghorn.logging import outlet
from pronghorn.logging.outlet import LIMIT, LineHandler, Outlet, State

LINE = b"x" * 999 + b"\n"
TOO_MANY = 2 * LIMIT // len(LINE)


@dataclass
class Stream:
    """A stream and its read end."""

    read_fd: int
    write_fd: int

    def __post_init__(self) -> None:
        self.text = io.TextIOWrapper(io.BufferedWriter(io.FileIO(self.write_fd, "w")), newline="\n")
        self.outlet = Outlet(self.write_fd)

    def write(self, lines: bytes) -> None:
        self.outlet.write(lines, self.text)

    def read(self, size: int) -> bytes:
        """Read at least `size` bytes."""
        data = b""
        while len(data) < size:
            assert select.select([self.read_fd], [], [], PATIENCE)[0]
            data += os.read(self.read_fd, 65536)
        return data

    def read_all(self) -> bytes:
        """Read everything written, including the lines still pending."""
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
    os.close(made.read_fd)  # a thread with pending lines drops them
    wait_until(lambda: made.outlet.state is State.OPEN)
    made.outlet._held.close()
    with contextlib.suppress(OSError):
        made.text.close()


def test_lines_are_written(stream: Stream) -> None:
    stream.write(LINE)
    assert stream.read(len(LINE)) == LINE


def test_lines_that_do_not_fit_are_written_later_in_order(stream: Stream) -> None:
    lines = [b"%d\n" % number for number in range(100_000)]
    for first in range(0, len(lines), 100):
        stream.write(b"".join(lines[first : first + 100]))
    assert stream.read_all() == b"".join(lines)
    assert stream.outlet.take_dropped() == 0


def test_lines_beyond_limit_are_dropped_and_counted(stream: Stream) -> None:
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


def test_line_longer_than_limit_is_written(stream: Stream) -> None:
    line = b"x" * (LIMIT + 1) + b"\n"
    stream.write(line)
    assert stream.read_all() == line


def test_descriptor_stays_blocking_for_other_users(stream: Stream) -> None:
    stream.write(LINE)
    assert os.get_blocking(stream.write_fd)


def test_buffered_text_is_written_first(stream: Stream) -> None:
    stream.text.write("printed\n")
    stream.write(b"logged\n")
    assert stream.read(15) == b"printed\nlogged\n"


def test_lines_follow_descriptor(stream: Stream) -> None:
    stream.write(b"before\n")
    assert stream.read(7) == b"before\n"
    assert stream.outlet.flush(time.monotonic() + PATIENCE)
    read, write = os.pipe()
    os.dup2(write, stream.write_fd)
    os.close(write)
    stream.write(b"behind\n")
    assert os.read(read, 100) == b"behind\n"
    os.close(read)


def test_flush_waits_for_reader(stream: Stream) -> None:
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


def test_pending_lines_are_dropped_if_reader_is_gone(stream: Stream) -> None:
    for _ in range(TOO_MANY):
        stream.write(LINE)
    read, other = os.pipe()
    os.dup2(read, stream.read_fd)
    assert stream.outlet.flush(time.monotonic() + PATIENCE)
    os.close(read)
    os.close(other)
    assert stream.outlet.take_dropped() > 0


def test_write_without_reader_raises_broken_pipe(stream: Stream) -> None:
    read, other = os.pipe()
    os.dup2(read, stream.read_fd)
    with pytest.raises(BrokenPipeError):
        stream.write(LINE)
    os.close(read)
    os.close(other)


class Disk:
    """A stream to a disk that may be full."""

    name = "disk"

    def __init__(self) -> None:
        self.error: Exception | None = None

    def write(self, lines: str) -> None:
        if self.error is not None:
            raise self.error

    def flush(self) -> None:
        pass


def handle(handler: LineHandler, *errors: Exception | None) -> None:
    """Let `handler` write a line for each of `errors`, the error of its stream at that time."""
    for error in errors:
        handler.stream.error = error
        handler.handle(logging.makeLogRecord({"msg": "line"}))


def test_failing_stream_is_reported_once_until_a_line_is_written(caplog: pytest.LogCaptureFixture) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    handle(LineHandler(Disk()), full, full, full, None, full, full)
    assert caplog.messages == ["Cannot write the log to disk: No space left on device. Lines are lost."] * 2


def test_failing_log_of_errors_is_not_reported_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LineHandler(Disk())
    monkeypatch.setattr(outlet._log, "handlers", [handler])
    monkeypatch.setattr(outlet._log, "propagate", False)
    full = OSError(errno.ENOSPC, "No space left on device")
    handle(handler, full, full)
    assert handler._is_failing


def test_other_errors_are_reported_as_logging_does(capsys: pytest.CaptureFixture[str]) -> None:
    handle(LineHandler(Disk()), ValueError("closed"), ValueError("closed"))
    assert capsys.readouterr().err.count("--- Logging error ---") == 2


def test_default_socket_timeout_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
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
from pronghorn.logging import access_log, defaults, log
log.configure(defaults.LOGGING_CONFIG, None, True, False)
access = access_log.AccessLog.create(logging.getLogger("pronghorn.access"))
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


def test_forked_child_does_not_write_lines_of_parent() -> None:
    program = """
import logging, os, sys
from pronghorn.logging import access_log, defaults, log
log.configure(defaults.LOGGING_CONFIG, None, True, False)
access = access_log.AccessLog.create(logging.getLogger("pronghorn.access"))
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


def test_replaced_standard_stream_has_no_outlet(capsys: pytest.CaptureFixture[str]) -> None:
    assert outlet.outlet_of(sys.stdout) is None
    assert outlet.outlet_of(io.StringIO()) is None
    assert outlet.outlet_of(None) is None
