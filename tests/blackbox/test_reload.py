"""`--reload`: a changed file starts a new process, and clients wait for it meanwhile."""

import os
import re
import signal
import time
from importlib.util import find_spec

import pytest

SOURCE = """
import asyncio, os, pathlib, sys, time

print("importing {version}", file=sys.stderr, flush=True)
while "{version}" != pathlib.Path("ready").read_text() != "":
    time.sleep(0.01)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        print("stopping {version}", file=sys.stderr, flush=True)
        return await send({{"type": "lifespan.shutdown.complete"}})
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": b"{version}", "more_body": True}})
    if scope["path"] == "/stream":
        print("streaming", file=sys.stderr, flush=True)
        await asyncio.Event().wait()
    if scope["path"] == "/block":
        print("blocking", file=sys.stderr, flush=True)
        time.sleep(60)
    if scope["path"] == "/exit":
        os._exit(7)
    if scope["path"] == "/kill":
        os.kill(os.getpid(), 9)
    if scope["path"] == "/debug":
        print("read", sys.stdin.read(), file=sys.stderr, flush=True)
    await send({{"type": "http.response.body"}})
"""

WATCHING = "WatchFiles" if find_spec("watchfiles") else "StatReload"


class Module:
    """The module of the application. `write` changes it. Its import blocks while `ready` names another version."""

    def __init__(self, folder):
        self._file = folder / "reloaded.py"
        self.ready = folder / "ready"
        self.ready.write_text("")
        self._time = time.time()
        self.write("one")

    def write(self, version, source=SOURCE):
        # The change is atomic and has its own modification time: a half-written file would be another change.
        new = self._file.with_suffix(".new")
        new.write_text(source.format(version=version))
        self._time += 2  # a .pyc file identifies its source by size and time in seconds
        os.utime(new, (self._time, self._time))
        os.replace(new, self._file)


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Module(tmp_path)


@pytest.fixture
def reloading(start, module):
    """A function that starts a server of the module with --reload."""

    def reloading(*flags):
        flags = ("--app-dir", ".", "--reload", "--reload-delay", "0.05", "--log-level", "debug", *flags)
        server = start("reloaded:app", *flags)
        server.log.wait_for(r"\] serves")
        return server

    return reloading


@pytest.fixture
def get(connect):
    """A function that sends a request to a server and returns the body of the response."""

    def get(server, target="/"):
        client = connect(server)
        client.get(target, "connection: close")
        return client.read().body.decode()

    return get


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_reloader_serves_until_signal(reloading, get, module, tmp_path, number):
    server = reloading("--workers", "2")
    assert get(server) == "one"
    server.signal(number)
    assert server.wait() == 0
    lines = [line for line in server.log if not line.startswith("DEBUG")]
    assert lines[0] == f"INFO:     Will watch for changes in these directories: ['{tmp_path.resolve()}']"
    assert lines[1] == 'WARNING:  "workers" flag is ignored when reloading is enabled.'
    assert "running on" in lines[2]
    assert lines[3] == f"INFO:     Started reloader process [{server.pid}] using {WATCHING}"
    assert lines[-1] == f"INFO:     Stopping reloader process [{server.pid}]"
    assert len([line for line in lines if "Started server process" in line]) == 1
    assert "stopping one" in lines
    assert "Traceback" not in server.log.text()


def test_request_during_reload_waits(reloading, connect, get, module):
    server = reloading()
    assert get(server) == "one"
    module.ready.write_text("one")
    module.write("two")
    server.log.wait_for(rf"WARNING:  {WATCHING} detected changes in 'reloaded.py'. Reloading...")
    server.log.wait_for("importing two")
    client = connect(server)
    client.get("/")
    module.ready.write_text("")
    assert client.read().body == b"two"


def test_open_stream_does_not_delay_reload(reloading, connect, get, module):
    server = reloading()
    client = connect(server)
    client.get("/stream")
    server.log.wait_for("streaming")
    module.write("two")
    server.log.wait_for(r"\] serves", 2)
    assert get(server) == "two"
    assert "stopping one" in server.log.text()


def test_blocked_application_delays_reload_only_briefly(reloading, connect, get, module):
    server = reloading()
    client = connect(server)
    client.get("/block")
    server.log.wait_for("blocking")
    module.write("two")
    assert get(server) == "two"


def test_syntax_error_is_reported_and_next_change_is_loaded(reloading, get, module):
    server = reloading()
    module.write("two", "def app(:\n")
    server.log.wait_for("SyntaxError")
    server.log.wait_for(r"ERROR:    Child process \[\d+\] died: exit code 3. Waiting for a file to change.")
    module.write("three")
    server.log.wait_for(r"\] serves", 2)
    assert get(server) == "three"


def test_failed_first_import_does_not_end_reloader(start, get, module):
    module.write("one", "import missing_requirement\n")
    server = start("reloaded:app", "--app-dir", ".", "--reload", "--log-level", "debug")
    server.log.wait_for("ModuleNotFoundError: No module named 'missing_requirement'")
    server.log.wait_for("died: exit code 3")
    module.write("two")
    server.log.wait_for(r"\] serves")
    assert get(server) == "two"


def test_change_during_startup_is_not_missed(reloading, get, module):
    server = reloading()
    module.ready.write_text("one")
    module.write("two")
    server.log.wait_for("importing two")
    module.write("three")
    server.log.wait_for("importing three")
    module.ready.write_text("")
    server.log.wait_for(r"\] serves", 2)
    assert get(server) == "three"


def test_exited_process_is_started_again_after_change(reloading, connect, get, module):
    server = reloading()
    connect(server).get("/exit")
    server.log.wait_for("died: exit code 7. Waiting for a file to change.")
    module.write("two")
    server.log.wait_for(r"\] serves", 2)
    assert get(server) == "two"


def test_killed_process_is_started_again(reloading, connect, get, module):
    server = reloading()
    connect(server).get("/kill")
    server.log.wait_for(r"ERROR:    Child process \[\d+\] died: SIGKILL. Starting another.")
    server.log.wait_for(r"\] serves", 2)
    assert get(server) == "one"


def test_process_killed_before_it_serves_waits_for_change(start, module):
    module.write("one", "import os\nos.kill(os.getpid(), 9)\n")
    server = start("reloaded:app", "--app-dir", ".", "--reload")
    server.log.wait_for("died: SIGKILL. Waiting for a file to change.")


def test_log_line_for_many_changes_is_short(reloading, module, tmp_path):
    server = reloading()
    (tmp_path / "new").mkdir()
    for number in range(1000):
        (tmp_path / "new" / f"{number:04}.py").write_text("")
    (tmp_path / "new").rename(tmp_path / "package")
    server.log.wait_for(r"detected changes in ('\S+\.py'(, )?){5} and \d+ more\. Reloading")
    assert max(map(len, server.log)) < 1000


def test_process_at_its_request_limit_is_replaced(reloading, get, module):
    server = reloading("--limit-max-requests", "2")
    get(server)
    get(server)
    server.log.wait_for(r"\] serves", 2)
    assert get(server) == "one"
    assert "detected changes" not in server.log.text()


def test_excluded_and_other_files_cause_no_reload(reloading, get, module, tmp_path):
    server = reloading("--reload-include", "*.html", "--reload-exclude", "draft.html")
    (tmp_path / "draft.html").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "page.html").write_text("")
    found = server.log.wait_for(r"detected changes in (.*)\. Reloading")
    assert found[1] == "'page.html'"


def test_debugger_can_read_standard_input(reloading, get, module):
    server = reloading()
    get(server, "/debug")
    assert server.log.wait_for("^read")


def test_worker_ends_when_parent_dies(reloading, module):
    server = reloading()
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    assert re.search("Finished server process", server.log.text())
