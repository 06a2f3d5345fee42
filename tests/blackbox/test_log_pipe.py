"""Standard streams that nobody reads: the server still answers requests."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.raw_client import Client
from tests.support.server import APPS, FORMS, PATIENCE, SOURCES, wait_until

pytest.importorskip("fcntl", reason="Windows has no such outlet")

LONG = "/l" + "x" * 8000
REQUESTS = 500  # each log accepts only a quarter of these lines

DROPPED = re.compile(r"WARNING:  (\d+) lines of the log were dropped: (standard \w+) was not read in time\.")


class Unread:
    """A server with streams that are only read on demand."""

    def __init__(self, *flags, form="compiled"):
        environment, form_flags = FORMS[form]
        command = [sys.executable, "-m", "pronghorn", "talkative:app", "--app-dir", str(APPS), "--port", "0"]
        self._popen = subprocess.Popen(
            [*command, "--lifespan", "off", *form_flags, *flags],
            env={**os.environ, "PYTHONPATH": str(SOURCES), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.pid = self._popen.pid
        self.streams = {"access": self._popen.stdout, "log": self._popen.stderr}
        self.lines = {"access": [], "log": []}
        self._threads = []

    def wait_for(self, pattern):
        """Read the error log up to the line that contains `pattern`."""
        while True:
            line = self.streams["log"].readline().decode()
            assert line, "the log has ended"
            if found := re.search(pattern, line):
                return found

    def read_on(self):
        """Start to read both streams."""
        for name, stream in self.streams.items():
            thread = threading.Thread(target=self._read, args=(self.lines[name], stream))
            thread.start()
            self._threads.append(thread)

    def wait(self):
        return self._popen.wait(PATIENCE)

    def end(self):
        self._popen.kill()
        self.wait()
        for thread in self._threads:
            thread.join(PATIENCE)
        for stream in self.streams.values():
            stream.close()

    def signal(self, number=signal.SIGTERM):
        self._popen.send_signal(number)

    def _read(self, lines, stream):
        for line in stream:
            lines.append(line.decode().rstrip())


@pytest.fixture
def unread():
    with contextlib.ExitStack() as stack:

        def start(*flags, **options):
            server = Unread(*flags, **options)
            stack.callback(server.end)
            return server

        yield start


def ask(port, target, count):
    """Send `count` requests over one connection; return the set of bodies."""
    client = Client(("127.0.0.1", port))
    bodies = set()
    for _ in range(count):
        client.get(target)
        bodies.add(client.read().body)
    client.close()
    return bodies


def dropped(server, name):
    return [int(found[1]) for line in server.lines["log"] if (found := DROPPED.search(line)) and found[2] == name]


def test_requests_are_answered_while_log_is_unread(unread, form):
    server = unread(form=form)
    port = int(server.wait_for(r"running on http://127.0.0.1:(\d+)")[1])
    ask(port, LONG, REQUESTS)
    server.read_on()
    wait_until(lambda: dropped(server, "standard output") and dropped(server, "standard error"))
    ask(port, "/end", 1)
    wait_until(lambda: any("/end" in line for line in server.lines["access"]))
    for name, what in (("access", "standard output"), ("log", "standard error")):
        written = sum("xxxxx" in line or "eeeee" in line for line in server.lines[name])
        assert 100 < written < REQUESTS
        assert written + sum(dropped(server, what)) == REQUESTS


def test_workers_answer_requests_while_log_is_unread(unread):
    server = unread("--workers", "2", "--log-level", "debug")
    port = int(server.wait_for(r"running on http://127.0.0.1:(\d+)")[1])
    for _ in range(2):
        server.wait_for(r"\] serves")
    processes = set()
    with ThreadPoolExecutor(8) as pool:  # one connection after the other might always reach the same worker
        for _ in range(PATIENCE):
            processes.update(*pool.map(lambda _: ask(port, LONG, REQUESTS), range(8)))
            if len(processes) == 2:
                break
    assert len(processes) == 2
    server.read_on()
    wait_until(lambda: len(dropped(server, "standard output")) >= 2 and len(dropped(server, "standard error")) >= 2)


@pytest.mark.parametrize(("flags", "code"), [((), -signal.SIGTERM), (("--workers", "2"), 0)])
def test_stop_does_not_wait_for_reader(unread, flags, code):
    server = unread("--log-level", "debug", *flags)
    port = int(server.wait_for(r"running on http://127.0.0.1:(\d+)")[1])
    if flags:
        server.wait_for(r"\] serves")
    ask(port, LONG, REQUESTS)
    server.signal()
    assert server.wait() == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_pending_lines_are_written_before_exit(unread, number, flags):
    server = unread("--log-level", "debug", *flags)
    port = int(server.wait_for(r"running on http://127.0.0.1:(\d+)")[1])
    if flags:
        server.wait_for(r"\] serves")
    ask(port, "/x" + LONG, 100)
    server.signal(number)
    server.read_on()
    server.wait()
    server.end()
    assert sum("xxxxx" in line for line in server.lines["access"]) == 100


def test_closed_pipe_is_reported_once_and_requests_are_answered(unread, form):
    server = unread(form=form)
    port = int(server.wait_for(r"running on http://127.0.0.1:(\d+)")[1])
    server.streams["access"].close()
    assert ask(port, "/x", 100) == {b"%d" % server.pid}
    server.signal()
    assert server.wait() == -signal.SIGTERM
    log = server.streams["log"].read()
    assert log.count(b"ERROR:    Cannot write the log to standard output: Broken pipe. Lines are lost.") == 1
    assert b"Traceback" not in log
