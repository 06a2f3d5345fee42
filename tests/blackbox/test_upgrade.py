"""SIGUSR2: a new program takes over the sockets, or the old one keeps them."""

import contextlib
import os
import re
import signal
import socket

import pytest

from tests.support.http2 import DATA, GOAWAY, PREFACE, get, settings, split_frames
from tests.support.raw_client import Client
from tests.support.raw_websocket import CLOSE, Socket, close_payload
from tests.support.server import Process, wait_until

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="this system has no SIGUSR2")


class Programs:
    """A server, and the programs that replace it. `place` is its address, a unix socket or ("127.0.0.1", port)."""

    def __init__(self, *flags, app="processes:app", place=None, **environment):
        there = ("--uds", place) if place else () if "--bind" in flags or "--fd" in flags else ("--port", "0")
        self.process = Process(app, *there, "--log-level", "debug", *flags, env=environment)
        self.log = self.process.log
        self.pids = [self.process.pid]
        self.process.wait_until_running()
        if "--workers" in flags:
            self.log.wait_for(r"\] serves", 2)
        self.place = place or ("127.0.0.1", self.process.port)

    def request(self):
        """Request an upgrade of the newest program; return the process id of the next one."""
        os.kill(self.pids[-1], signal.SIGUSR2)
        found = self.log.wait_for(r"Received SIGUSR2, started the new program \[(\d+)\]", len(self.pids))
        self.pids.append(int(found[1]))
        return self.pids[-1]

    def upgrade(self):
        """Upgrade the newest program, and wait until it has ended."""
        old = self.pids[-1]
        new = self.request()
        self.log.wait_for(rf"The new program \[{new}\] serves, stopping this one")
        self.log.wait_for(rf"(Stopping parent|Finished server) process \[{old}\]")

    def visit(self, place=None):
        with contextlib.closing(Client(place or self.place)) as client:
            client.get("/", "connection: close")
            answer = client.read()
        assert answer.status == 200
        return int(answer.body)

    def stop(self):
        """Send SIGTERM to the newest program, and wait for the end of all."""
        os.kill(self.pids[-1], signal.SIGTERM)
        self.process.wait()

    def end(self):
        for pid in reversed(self.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        print(self.log.text())


@pytest.fixture
def run():
    """A function that runs a server which may be upgraded."""
    with contextlib.ExitStack() as stack:

        def run(*flags, **options):
            programs = Programs(*flags, **options)
            stack.callback(programs.end)
            return programs

        yield run


@pytest.fixture(params=[(), ("--workers", "2")], ids=["one", "workers"])
def flags(request):
    return request.param


def test_new_program_serves_on_the_same_port(run, flags):
    programs = run(*flags)
    before = programs.visit()
    programs.upgrade()
    assert programs.process._popen.wait(60) == 0
    assert programs.visit() != before
    programs.stop()
    with pytest.raises(ConnectionRefusedError):
        programs.visit()
    text = programs.log.text()
    assert text.count("running on") == 2
    assert not re.search("ERROR|Traceback", text)


def test_new_program_can_be_replaced_in_turn(run, flags):
    programs = run(*flags)
    seen = [programs.visit()]
    for _ in range(2):
        programs.upgrade()
        seen.append(programs.visit())
    assert len(set(seen)) == 3
    programs.stop()


def test_file_of_unix_socket_remains_until_the_new_program_ends(run, flags, tmp_path):
    path = str(tmp_path / "socket")
    programs = run(*flags, place=path)
    inode = os.stat(path).st_ino
    programs.upgrade()
    assert os.stat(path).st_ino == inode
    assert programs.visit()
    programs.stop()
    assert not os.path.exists(path)


def test_every_place_is_handed_over(run, flags, tmp_path):
    path = str(tmp_path / "socket")
    programs = run(*flags, "--bind", "127.0.0.1:0", "--bind", "localhost:0", "--bind", f"unix:{path}")
    programs.log.wait_for("on unix socket")
    ports = {int(found[1]) for line in programs.log if (found := re.search(r"on http://\S+?:(\d+) ", line))}
    assert len(ports) == 2
    programs.upgrade()
    for place in (*(("127.0.0.1", port) for port in ports), path):
        assert programs.visit(place)


def test_metrics_are_not_mixed_up_with_the_application(run, flags):
    pytest.importorskip("prometheus_client")
    programs = run(*flags, "--host", "127.0.0.1", "--metrics-bind", "127.0.0.1:0")
    shown = ("127.0.0.1", int(programs.log.wait_for(r"Metrics are shown on http://127.0.0.1:(\d+)")[1]))
    programs.upgrade()
    for _ in range(3):
        assert programs.visit()
        with contextlib.closing(Client(shown)) as client:
            client.get("/health", "connection: close")
            assert b'"workers"' in client.read().body


def test_inherited_socket_is_handed_over_and_left_open(flags):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        running = None
        process = Process("processes:app", "--fd", str(sock.fileno()), *flags, pass_fds=[sock.fileno()])
        try:
            process.log.wait_for("Application startup complete", 2 if flags else 1)
            process.wait_until_running()
            process.signal(signal.SIGUSR2)
            new = int(process.log.wait_for(r"The new program \[(\d+)\] serves")[1])
            running = new
            process.log.wait_for(rf"(Stopping parent|Finished server) process \[{process.pid}\]")
            with contextlib.closing(Client(sock.getsockname())) as client:
                client.get("/", "connection: close")
                assert client.read().status == 200
        finally:
            os.kill(running or process.pid, signal.SIGTERM)
            process.wait()
        with contextlib.closing(Client(sock.getsockname())):  # the system queues it, for the next server
            pass


def test_old_program_continues_if_the_new_one_cannot_start(run, flags, tmp_path):
    start, path = tmp_path / "start", str(tmp_path / "socket")
    start.write_text("")
    programs = run(*flags, place=path, START=str(start))
    start.write_text("fail")
    failed = programs.request()
    programs.log.wait_for(rf"ERROR:    The new program \[{failed}\] ended with exit code 3; this one keeps the sockets")
    assert os.path.exists(path)
    assert programs.visit()
    start.write_text("")
    programs.pids = [failed, programs.process.pid]
    programs.upgrade()
    assert programs.visit()


def test_old_program_continues_if_the_new_one_takes_too_long(run, flags, tmp_path):
    start = tmp_path / "start"
    start.write_text("")
    programs = run(*flags, "--timeout-upgrade", "3", START=str(start))
    start.write_text("hang")
    late = programs.request()
    programs.log.wait_for(rf"ERROR:    The new program \[{late}\] did not serve in time; this one keeps the sockets")
    wait_until(lambda: not runs(late))
    assert programs.visit()


def test_pid_file_names_the_program_that_serves(run, flags, tmp_path):
    path, start = tmp_path / "server.pid", tmp_path / "start"
    start.write_text("")
    programs = run(*flags, "--pid-file", str(path), START=str(start))
    start.write_text("fail")
    failed = programs.request()
    programs.log.wait_for(rf"The new program \[{failed}\] ended with exit code 3")
    assert int(path.read_text()) == programs.process.pid
    start.write_text("")
    programs.pids = [failed, programs.process.pid]
    programs.upgrade()
    wait_until(lambda: int(path.read_text()) == programs.pids[-1])
    programs.stop()
    assert not path.exists()


def test_second_signal_is_refused_while_a_new_program_starts(run, flags, tmp_path):
    start = tmp_path / "start"
    start.write_text("")
    programs = run(*flags, START=str(start))
    start.write_text("hang")
    new = programs.request()
    programs.log.wait_for("hanging")
    os.kill(programs.process.pid, signal.SIGUSR2)
    programs.log.wait_for(rf"WARNING:  Received SIGUSR2, but the new program \[{new}\] is starting already")
    assert programs.visit()


def test_stop_ends_the_program_that_starts_too(run, flags, tmp_path):
    start, path = tmp_path / "start", str(tmp_path / "socket")
    start.write_text("")
    programs = run(*flags, place=path, START=str(start))
    start.write_text("hang")
    new = programs.request()
    programs.log.wait_for("hanging")
    programs.process.signal(signal.SIGTERM)
    programs.log.wait_for(rf"The new program \[{new}\] was still starting")
    programs.process.wait()
    wait_until(lambda: not runs(new))
    assert not os.path.exists(path)


def test_running_request_is_answered_by_the_old_program(run, flags):
    programs = run(*flags)
    with contextlib.closing(Client(programs.place)) as client:
        client.get("/wait?seconds=2")
        programs.log.wait_for("^waiting")
        programs.upgrade()
        assert client.read().status == 200


def test_websocket_is_closed_as_after_a_stop_and_opened_to_the_new_program(run):
    programs = run(app="websocket_app:app")
    with contextlib.ExitStack() as stack:
        connect = lambda: stack.enter_context(contextlib.closing(Client(programs.place)))  # noqa: E731
        old = Socket(connect())
        old.send_text("old")
        assert old.read_text() == "old"
        new = programs.request()
        programs.log.wait_for(rf"The new program \[{new}\] serves")
        assert old.read_close()[0] == 1012
        old.send(CLOSE, close_payload(1012))
        newer = Socket(connect())
        newer.send_text("new")
        assert newer.read_text() == "new"


def test_http_2_streams_are_answered_by_the_old_program(run):
    programs = run("--http2")
    with contextlib.closing(Client(programs.place)) as client:
        client.send(PREFACE + settings() + get(1, b"/wait?seconds=4"))
        programs.log.wait_for("^waiting")
        old, new = programs.pids[-1], programs.request()
        programs.log.wait_for(rf"The new program \[{new}\] serves")
        client.send(get(3, b"/"))
        frames = split_frames(client.rest())
    assert [each.last for each in frames if each.kind == GOAWAY] == [0x7FFFFFFF, 3]
    bodies = {each.stream: int(each.payload) for each in frames if each.kind == DATA and each.payload}
    assert bodies == {1: old, 3: old}


def runs(pid):
    """Return whether the process runs. One that has ended may remain as a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
