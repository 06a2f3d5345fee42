"""`pronghorn top` on real servers: once, and live in a terminal."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.support.raw_client import Client
from tests.support.server import PATIENCE, SOURCES, wait_until

pytest.importorskip("prometheus_client")
pytest.importorskip("rich")
if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

import termios

COMMAND = [sys.executable, "-m", "pronghorn", "top"]
UNSET = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in UNSET}
ENVIRONMENT |= {"PYTHONPATH": str(SOURCES), "TERM": "xterm"}

# Makes the terminal, its standard input, that of its session, and becomes the program in its arguments.
IN_SESSION = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"

ENTER, LEAVE, SHOW_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


@pytest.fixture
def watched(start):
    """A server of two workers, and the place of its metrics listener."""
    server = start("processes:app", "--workers", "2", "--metrics-bind", "127.0.0.1:0")
    host, port = server.log.wait_for(r"Metrics are shown on http://(\S+):(\d+)").groups()
    wait_until(lambda: is_ready((host, int(port))))
    return server, f"{host}:{port}"


def is_ready(address):
    with contextlib.closing(Client(address)) as client:
        client.get("/health", "connection: close")
        return client.read().status == 200


def visit_until(server, ended):
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        while not ended():
            client.get("/")
            assert client.read().status == 200


def start_top(*arguments):
    return subprocess.Popen(
        [*COMMAND, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("flags", [["--once"], []], ids=["once", "no terminal"])
def test_figures_of_one_interval_are_printed(watched, flags):
    server, where = watched
    with start_top(where, *flags) as top:
        try:
            visit_until(server, lambda: top.poll() is not None)
            shown, errors = top.communicate(timeout=PATIENCE)
        finally:
            top.kill()
    assert (top.returncode, errors) == (0, "")
    figures = {words[0]: words[1:] for line in shown.splitlines() if (words := line.split())}
    assert figures["server"] == [where]
    assert figures["phase"] == ["ready"]
    assert float(figures["requests"][0]) == float(figures["2xx"][0]) > 0
    assert figures["5xx"] == ["0.0"]
    assert re.fullmatch(r"\d+\.\d", figures["p50"][0])
    assert figures["workers"] == ["2", "started,", "0", "ended"]
    assert len(re.findall(r"(?m)^\d+ +serving +00:\d\d:\d\d +\d+\.\d MiB", shown)) == 2
    assert "\x1b" not in shown


def test_unix_socket_is_read(start, tmp_path):
    path = tmp_path / "metrics"
    start("asgi:app", "--metrics-bind", f"unix:{path}")
    wait_until(lambda: is_ready(str(path)))
    with start_top(f"unix:{path}", "--once") as top:
        shown, errors = top.communicate(timeout=PATIENCE)
    assert (top.returncode, errors) == (0, "")
    assert "phase        ready\n" in shown


def test_place_of_the_application_is_an_error(watched):
    server, _ = watched
    with start_top(f"127.0.0.1:{server.port}", "--once") as top:
        shown, errors = top.communicate(timeout=PATIENCE)
    assert (top.returncode, shown) == (1, "")
    assert "this is not a metrics listener of pronghorn" in errors


class Terminal:
    """`pronghorn top` in a terminal of 80 columns and 24 lines."""

    def __init__(self, *arguments):
        self._leader, follower = os.openpty()
        termios.tcsetwinsize(self._leader, (24, 80))
        command = [sys.executable, "-c", IN_SESSION, *COMMAND, *arguments]
        try:
            self.process = subprocess.Popen(
                command, env=ENVIRONMENT, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
            )
        finally:
            os.close(follower)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, pattern):
        """Wait for `pattern` in what is shown from now on."""
        begin = len(self.text)
        wait_until(lambda: re.search(pattern, self.text[begin:]) or self.process.poll() is not None)
        assert re.search(pattern, self.text[begin:]), self.text

    def shows_keys(self):
        return bool(termios.tcgetattr(self._leader)[3] & termios.ECHO)

    def press(self, key):
        os.write(self._leader, key)

    def wait(self):
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def close(self):
        self.process.kill()
        self.wait()
        os.close(self._leader)

    def _read(self):
        with contextlib.suppress(OSError):  # the last process has closed the terminal
            while data := os.read(self._leader, 65536):
                self.text += data.decode(errors="replace")


@pytest.fixture
def open_terminal():
    """A function that watches a place in a terminal."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(contextlib.closing(Terminal(*arguments)))


def test_live_view_ends_by_ctrl_c(watched, open_terminal):
    terminal = open_terminal(watched[1])
    terminal.wait_for("serving")
    terminal.press(b"\x03")
    assert terminal.wait() == 0
    assert terminal.text.startswith(ENTER)
    assert terminal.text.index("ready") < terminal.text.index("serving")
    assert terminal.text.rindex(LEAVE) > terminal.text.rindex("serving")
    assert SHOW_CURSOR in terminal.text[terminal.text.rindex("serving") :]
    assert "Traceback" not in terminal.text


def test_repeated_sigint_leaves_the_terminal_as_it_was(watched, open_terminal):
    terminal = open_terminal(watched[1])
    terminal.wait_for("serving")
    while terminal.process.poll() is None:
        terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == 0
    assert terminal.text.rindex(LEAVE) > terminal.text.rindex("serving")


def test_keys_are_not_shown(watched, open_terminal):
    terminal = open_terminal(watched[1])
    terminal.wait_for("serving")
    assert not terminal.shows_keys()
    terminal.press(b"\x03")
    terminal.wait()
    assert terminal.shows_keys()


def test_sigterm_leaves_the_terminal_as_it_was(watched, open_terminal):
    terminal = open_terminal(watched[1])
    terminal.wait_for("serving")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.wait() == 0
    assert terminal.text.rindex(LEAVE) > terminal.text.rindex("serving")


def test_live_view_follows_the_figures(watched, open_terminal):
    server, where = watched
    terminal = open_terminal(where)
    terminal.wait_for("serving")
    begin = len(terminal.text)
    visit_until(server, lambda: re.search(r"requests\W.*?[1-9]\d*\.\d .*?/s", terminal.text[begin:]))


def test_server_that_goes_away_is_found_again(start, open_terminal):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        where = f"127.0.0.1:{sock.getsockname()[1]}"
    terminal = open_terminal(where)
    terminal.wait_for("no answer for")
    first = start("asgi:app", "--metrics-bind", where)
    terminal.wait_for(rf"{first.pid}\b")
    first.signal()
    first.wait()
    terminal.wait_for("no answer for")
    second = start("asgi:app", "--metrics-bind", where)
    terminal.wait_for(rf"{second.pid}\b")
    terminal.press(b"\x03")
    assert terminal.wait() == 0


def test_suspended_server_is_found_again(start, open_terminal):
    server = start("asgi:app", "--metrics-bind", "127.0.0.1:0")
    terminal = open_terminal(server.log.wait_for(r"Metrics are shown on http://(\S+)")[1])
    terminal.wait_for("ready")
    server.signal(signal.SIGSTOP)
    terminal.wait_for("no answer for [^:]*: timed out")
    server.signal(signal.SIGCONT)
    terminal.wait_for(rf"{server.pid}\b.*ready|ready.*{server.pid}\b")
    terminal.press(b"\x03")
    assert terminal.wait() == 0
