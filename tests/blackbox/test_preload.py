"""`--preload`: workers are forks of a process that has imported the application."""

import contextlib
import os
import re
import signal
import socket
import sys

import pytest

from tests.support.raw_client import Client
from tests.support.server import Process, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")

APP = """
import gc, os, random, stat, sys
print("imported", file=sys.stderr, flush=True)
answer = "{answer}"

def is_open(fd):
    return os.path.exists(f"/proc/self/fd/{{fd}}") or os.path.islink(f"/proc/self/fd/{{fd}}")

async def app(scope, receive, send):
    answers = {{
        "/": answer,
        "/pid": str(os.getpid()),
        "/parent": str(os.getppid()),
        "/random": str(random.random()),
        "/frozen": str(gc.get_freeze_count()),
        "/sockets": str(sum(stat.S_ISSOCK(os.stat(fd).st_mode) for fd in range(3, 64) if is_open(fd))),
    }}
    body = answers[scope["path"]].encode()
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}})
    await send({{"type": "http.response.body", "body": body}})
"""


class Served:
    """A server with two workers, and the file of its application."""

    def __init__(self, folder, *flags, more="", **options):
        self.file = folder / "preloaded.py"
        self.written = 0
        self.write("one", more)
        self.process = Process(
            "preloaded:app", "--app-dir", str(folder), "--port", "0", "--preload", "--workers", "2",
            "--lifespan", "off", "--log-level", "debug", *flags, **options,
        )  # fmt: skip
        self.log = self.process.log

    def write(self, answer, more=""):
        self.file.write_text(APP.format(answer=answer) + more)
        # Python would take its cached code for a file of the same size and second.
        self.written += 1
        os.utime(self.file, (self.written, self.written))

    def wait_until_serving(self, count=2):
        self.log.wait_for(r"\] serves", count)
        self.process.wait_until_running()

    def get(self, target="/"):
        with contextlib.closing(Client(("127.0.0.1", self.process.port))) as client:
            client.get(target, "connection: close")
            answer = client.read()
        assert answer.status == 200
        return answer.body.decode()

    def get_of_each(self, target):
        """The answers of both workers, by their process ids."""
        answers = {}
        while len(answers) < 2:
            with contextlib.closing(Client(("127.0.0.1", self.process.port))) as client:
                client.get("/pid")
                pid = int(client.read().body)
                client.get(target)
                answers[pid] = client.read().body.decode()
        return answers


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path)
    try:
        served.wait_until_serving()
        yield served
    finally:
        served.process.end()
        print(served.log.text())


def restart(served, count):
    """Send SIGHUP, and wait until `count` workers have ended."""
    served.process.signal(signal.SIGHUP)
    served.log.wait_for("Finished server process", count)


def test_application_is_imported_once(served):
    assert served.log.text().count("imported") == 1
    served.process.signal(signal.SIGTTIN)
    served.wait_until_serving(3)
    assert served.log.text().count("imported") == 1


def test_workers_share_what_was_imported(served):
    assert all(int(frozen) > 10_000 for frozen in served.get_of_each("/frozen").values())
    assert len(set(served.get_of_each("/parent").values())) == 1


def test_random_numbers_differ(served):
    assert len(set(served.get_of_each("/random").values())) == 2


def test_worker_holds_as_many_sockets_as_a_spawned_one(served, tmp_path):
    flags = ("--app-dir", str(tmp_path), "--port", "0", "--workers", "2", "--lifespan", "off")
    spawned = Process("preloaded:app", *flags, "--log-level", "debug")
    try:
        spawned.log.wait_for(r"\] serves", 2)
        spawned.wait_until_running()
        with contextlib.closing(Client(("127.0.0.1", spawned.port))) as client:
            client.get("/sockets")
            expected = client.read().body.decode()
    finally:
        spawned.end()
    assert set(served.get_of_each("/sockets").values()) == {expected}


def test_restart_imports_new_code(served):
    assert served.get() == "one"
    served.write("two")
    restart(served, 2)
    assert {served.get() for _ in range(10)} == {"two"}
    assert served.log.text().count("imported") == 2


def test_process_that_forked_ends_after_its_last_worker(served):
    (old,) = set(map(int, served.get_of_each("/parent").values()))
    restart(served, 2)
    wait_until(lambda: not os.path.exists(f"/proc/{old}"))
    assert served.get()


def test_workers_remain_if_new_code_cannot_be_imported(served):
    served.write("two", "raise RuntimeError('no')")
    served.process.signal(signal.SIGHUP)
    served.log.wait_for("ERROR:    Cannot import the application again; keeping the workers and aborting the restart")
    assert served.get() == "one"
    served.write("three")
    restart(served, 2)
    assert served.get() == "three"


def test_workers_outlive_the_process_that_forked_them(served):
    (nursery,) = set(map(int, served.get_of_each("/parent").values()))
    before = set(served.get_of_each("/"))
    os.kill(nursery, signal.SIGKILL)
    served.log.wait_for("The process that forks workers has ended, starting another")
    assert set(served.get_of_each("/")) == before
    killed = before.pop()
    os.kill(killed, signal.SIGKILL)
    served.log.wait_for(rf"Child process \[{killed}\] died: exit code 255")
    served.wait_until_serving(3)
    served.process.signal()
    assert served.process.wait() == 0


def test_application_that_cannot_be_imported_stops_the_parent(tmp_path):
    process = Process("missing:app", "--port", "0", "--preload", "--workers", "2")
    assert process.wait() == 3
    process.log.wait_for('ERROR:    Error loading ASGI app. Could not import module "missing"')
    assert process.log.text().count("Error loading") == 1


def test_threads_of_the_application_are_refused(tmp_path):
    (tmp_path / "threads.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), name='exporter', daemon=True).start()\n"
        "async def app(scope, receive, send): ...\n"
    )
    process = Process("threads:app", "--app-dir", str(tmp_path), "--port", "0", "--preload", "--workers", "2")
    assert process.wait() == 3
    process.log.wait_for(r"ERROR:    --preload: the application starts threads when it is imported \(exporter\)")


def test_unread_log_is_no_thread_of_the_application(tmp_path):
    talks = "import logging\nfor _ in range(300): logging.getLogger('pronghorn.error').info('x' * 1000)\n"
    (tmp_path / "talks.py").write_text(APP.format(answer="") + talks)
    path = str(tmp_path / "socket")
    reader, writer = os.pipe()
    process = Process(
        "talks:app", "--app-dir", str(tmp_path), "--uds", path, "--preload", "--workers", "2", "--lifespan", "off",
        prefix=["sh", "-c", f'exec "$@" 2>/proc/self/fd/{writer}', "sh"], pass_fds=[writer],
    )  # fmt: skip
    os.close(writer)
    try:
        wait_until(lambda: listens(path) or process.has_ended())
        with contextlib.closing(Client(path)) as client:
            client.get("/", "connection: close")
            assert client.read().status == 200
    finally:
        os.close(reader)
        process.end()


def listens(path):
    """Return whether a server listens at a path."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


OPENS_A_FILE = """
import logging
log = logging.getLogger("shop")
log.setLevel("INFO")
log.addHandler(logging.FileHandler("{path}"))
os.register_at_fork(after_in_child=lambda: log.info("forked"))
"""


def test_worker_that_is_forked_later_writes_to_the_new_log_files(tmp_path):
    output, file = tmp_path / "output", tmp_path / "file"
    redirect = ["sh", "-c", f'exec "$@" >{output} 2>&1', "sh"]
    served = Served(tmp_path, more=OPENS_A_FILE.format(path=file), prefix=redirect)
    try:
        wait_until(lambda: output.exists() and output.read_text().count("] serves") == 2)
        for each in (output, file):
            each.rename(f"{each}.1")
        served.process.signal(signal.SIGUSR1)
        wait_until(output.exists)
        served.process.signal(signal.SIGTTIN)
        wait_until(lambda: "] serves" in output.read_text())
        served.process.signal()
        served.process.wait()
    finally:
        served.process.end()
    assert output.read_text().count("Started server process") == 1
    assert file.read_text().count("forked") == 1


def test_hanging_import_can_be_interrupted(tmp_path):
    (tmp_path / "hangs.py").write_text(
        "import sys, time\nprint('hanging', file=sys.stderr, flush=True)\ntime.sleep(600)\n"
    )
    flags = ("--app-dir", str(tmp_path), "--port", "0", "--preload", "--workers", "2")
    process = Process("hangs:app", *flags, session=True)
    process.log.wait_for("hanging")
    process.signal_group(signal.SIGINT)
    assert process.wait() == 0
    assert "Traceback" not in process.log.text()


def test_reload_is_refused():
    process = Process("processes:app", "--port", "0", "--preload", "--reload")
    assert process.wait() == 3
    process.log.wait_for("--preload cannot be combined with --reload")


def test_single_process_says_that_it_has_no_effect():
    process = Process("processes:app", "--port", "0", "--preload")
    process.log.wait_for("WARNING:  --preload has no effect without --workers")
    process.end()


def test_workers_end_when_the_parent_dies(served):
    pids = [int(each) for each in re.findall(r"Started server process \[(\d+)\]", served.log.text())]
    served.process.signal(signal.SIGKILL)
    served.process.wait()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
