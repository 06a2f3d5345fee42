"""A server as a system service: PID file, user, service manager, signals of the operator."""

import contextlib
import json
import os
import pwd
import re
import signal
import socket
import sys

import pytest

from tests.support import users
from tests.support.raw_client import Client
from tests.support.server import Process, wait_until
from tests.support.systemd import ServiceManager

KINDS = {"single": (), "workers": ("--workers", "2"), "reload": ("--reload",)}

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def launch():
    """A function that starts a server of one of KINDS, which may fail to start."""
    with contextlib.ExitStack() as stack:

        def launch(kind, *flags, app="service:app", env=None, **more):
            place = () if {"--uds", "--bind"} & set(flags) else ("--port", "0")
            server = Process(app, *place, "--log-level", "debug", *KINDS[kind], *flags, env=env, **more)
            stack.callback(server.end)
            return server

        yield launch


def wait_until_serving(server, kind):
    server.wait_until_running()
    server.log.wait_for("running on" if kind == "single" else r"\] serves", 2 if kind == "workers" else 1)


def visit(server, target="/", place=None):
    """The application's facts."""
    with contextlib.closing(Client(place or ("127.0.0.1", server.port))) as client:
        client.get(target, "connection: close")
        return json.loads(client.read().body)


# PID file


@kinds
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pid_file_names_the_process_to_signal(launch, tmp_path, kind, number):
    path = tmp_path / "server.pid"
    server = launch(kind, "--pid-file", str(path))
    wait_until_serving(server, kind)
    assert int(path.read_text()) == server.pid
    server.signal(number)
    assert server.wait() == (-number if kind == "single" and number == signal.SIGTERM else 0)
    assert not path.exists()


def test_pid_file_is_removed_after_sigterm_during_import(launch, tmp_path):
    path = tmp_path / "server.pid"
    server = launch("single", "--pid-file", str(path), app="slow:app")
    server.log.wait_for("importing")
    assert int(path.read_text()) == server.pid
    server.signal()
    assert server.wait() == -signal.SIGTERM
    assert not path.exists()


@kinds
def test_second_server_with_same_pid_file_is_refused(launch, tmp_path, kind):
    path = tmp_path / "server.pid"
    server = launch("single", "--pid-file", str(path))
    server.wait_until_running()
    second = launch(kind, "--pid-file", str(path))
    assert second.wait() == 3
    assert f"names the running process {server.pid}. Stop it first." in second.log.text()
    assert int(path.read_text()) == server.pid


def test_pid_file_and_socket_are_removed_if_application_cannot_be_imported(launch, tmp_path):
    flags = ("--pid-file", str(tmp_path / "server.pid"), "--uds", str(tmp_path / "s"))
    assert launch("single", *flags, app="missing:app").wait() == 3
    assert list(tmp_path.iterdir()) == []


def test_server_with_pid_file_drains_a_socket_of_its_own(launch, tmp_path):
    server = launch("single", "--pid-file", str(tmp_path / "server.pid"))
    server.wait_until_running()
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/")
        client.read()
        server.signal()
        assert server.wait() == -signal.SIGTERM
    assert "Finished server process" in server.log.text()


# User

needs_users = pytest.mark.skipif(not users.can_change(), reason="only root may become another user")


@pytest.fixture
def root_folder():
    """A folder in which only root may create files, and others may read."""
    with users.open_folder() as folder:
        folder.chmod(0o755)
        yield folder


@needs_users
@kinds
def test_application_is_loaded_by_the_user(launch, tmp_path, kind):
    tmp_path.chmod(0o755)
    server = launch(kind, "--user", "nobody", "--umask", "027", prefix=users.prefix())
    wait_until_serving(server, kind)
    nobody = pwd.getpwnam("nobody")
    found = visit(server)
    assert (found["loaded_as"], found["umask"]) == ([nobody.pw_uid, nobody.pw_gid], 0o027)


@needs_users
@kinds
def test_socket_belongs_to_the_user(launch, kind):
    with users.open_folder() as folder:
        path = f"{folder}/s"
        server = launch(kind, "--uds", path, "--user", "nobody", "--uds-permissions", "600", prefix=users.prefix())
        wait_until_serving(server, kind)
        status = os.stat(path)
        assert (status.st_uid, status.st_mode & 0o777) == (pwd.getpwnam("nobody").pw_uid, 0o600)
        assert visit(server, place=path)
        server.signal()
        server.wait()
        assert not os.path.exists(path)


@needs_users
@kinds
def test_log_file_belongs_to_the_user(launch, kind):
    with users.open_folder() as folder:
        (folder / "log.json").write_text(logging_to(folder / "app.log"))
        server = launch(kind, "--log-config", str(folder / "log.json"), "--user", "nobody", prefix=users.prefix())
        path = folder / "app.log"
        wait_until(lambda: path.exists() and "startup complete" in path.read_text())
        assert path.stat().st_uid == pwd.getpwnam("nobody").pw_uid
        server.signal()
        server.wait()
        assert "Finished server process" in path.read_text()


@needs_users
def test_files_in_a_folder_of_root_stay_and_are_replaced(launch, tmp_path):
    flags = ("--uds", str(tmp_path / "s"), "--pid-file", str(tmp_path / "server.pid"), "--user", "nobody")
    for _ in range(2):
        server = launch("single", *flags, prefix=users.prefix())
        server.wait_until_running()
        server.signal()
        assert server.wait() == -signal.SIGTERM
        server.log.wait_for("Cannot remove --pid-file '.*': Permission denied. The next start replaces it.")
    assert "Traceback" not in server.log.text()


@needs_users
@pytest.mark.parametrize("kind", ["single", "workers"])
def test_pid_file_in_a_folder_of_root_follows_an_upgrade(launch, root_folder, kind):
    path = root_folder / "server.pid"
    server = launch(kind, "--pid-file", str(path), "--user", "nobody", prefix=users.prefix())
    wait_until_serving(server, kind)
    server.signal(signal.SIGUSR2)
    new = int(server.log.wait_for(r"The new program \[(\d+)\] serves")[1])
    try:
        wait_until(lambda: path.read_text() == f"{new}\n")
    finally:
        os.kill(new, signal.SIGTERM)
        server.wait()
    assert path.read_text() == ""
    assert path.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert "Cannot write" not in server.log.text()


@needs_users
def test_pid_file_that_cannot_follow_an_upgrade_is_logged_once(launch, root_folder):
    path = root_folder / "server.pid"
    server = launch("single", "--pid-file", str(path), "--user", "nobody", prefix=users.prefix())
    server.wait_until_running()
    os.chown(path, 0, 0)
    server.signal(signal.SIGUSR2)
    new = int(server.log.wait_for(r"The new program \[(\d+)\] serves")[1])
    try:
        server.log.wait_for("ERROR:    Cannot write --pid-file '.*': Permission denied.")
        assert visit(server)["pid"] == new
    finally:
        os.kill(new, signal.SIGTERM)
        server.wait()
    assert server.log.text().count("Cannot write") == 1


@pytest.mark.parametrize("flags", [("--user", "no such"), ("--group", "no such")], ids=str)
@kinds
def test_unknown_user_is_reported(launch, kind, flags):
    server = launch(kind, *flags)
    assert server.wait() == 3
    assert list(server.log)[-1] == f"ERROR:    {flags[0]} 'no such' does not exist on this system."


# Service manager


@pytest.fixture
def systemd(tmp_path):
    manager = ServiceManager(str(tmp_path / "notify"))
    yield manager
    manager.close()


@kinds
def test_service_manager_learns_of_start_and_stop(launch, systemd, kind):
    server = launch(kind, env=systemd.environment)
    status = {"single": "1 process", "workers": "2 workers", "reload": "1 worker, restarted when a file changes"}[kind]
    assert systemd.wait_for("READY=1") == ["READY=1", f"STATUS={status}"]
    server.wait_until_running()
    assert visit(server)["notify"] is False
    server.signal()
    systemd.wait_for("STOPPING=1")
    server.wait()


def test_server_that_cannot_start_never_reports_ready(launch, systemd):
    server = launch("single", app="lifespan:says_no", env=systemd.environment)
    systemd.wait_for("STOPPING=1")
    assert server.wait() == 3
    assert "READY=1" not in systemd.received


def test_workers_are_counted(launch, systemd):
    server = launch("workers", env=systemd.environment)
    systemd.wait_for("READY=1")
    server.signal(signal.SIGTTIN)
    systemd.wait_for("STATUS=3 workers")
    assert "STATUS=2 of 3 workers" in systemd.received


@pytest.mark.parametrize("kind", ["single", "workers"])
def test_reload_is_reported(launch, systemd, kind):
    server = launch(kind, env=systemd.environment)
    systemd.wait_for("READY=1")
    server.signal(signal.SIGHUP)
    reloading = systemd.wait_for("RELOADING=1")
    assert reloading[1].startswith("MONOTONIC_USEC=")
    systemd.wait_for("READY=1")


def test_failed_restart_of_workers_ends_the_reload(launch, systemd, tmp_path):
    start = tmp_path / "start"
    start.write_text("")
    server = launch("workers", app="processes:app", env={**systemd.environment, "START": str(start)})
    systemd.wait_for("READY=1")
    start.write_text("fail")
    server.signal(signal.SIGHUP)
    systemd.wait_for("RELOADING=1")
    systemd.wait_for("READY=1")
    server.log.wait_for("aborting the restart")


@kinds
def test_watchdog_is_fed(launch, systemd, kind):
    launch(kind, env={**systemd.environment, "WATCHDOG_USEC": "200000"})
    systemd.wait_for("READY=1")
    for _ in range(3):
        systemd.wait_for("WATCHDOG=1")


def test_watchdog_of_blocked_event_loop_is_not_fed(launch, systemd):
    server = launch("single", env={**systemd.environment, "WATCHDOG_USEC": "200000"})
    server.wait_until_running()
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/block")
        systemd.wait_for_silence(1.0)


def test_watchdog_is_fed_during_shutdown(launch, systemd):
    server = launch("single", app="lifespan:whole", env={**systemd.environment, "WATCHDOG_USEC": "200000"})
    server.wait_until_running()
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/never")
        server.log.wait_for("never begins")
        server.signal()
        systemd.wait_for("STOPPING=1")
        for _ in range(5):
            systemd.wait_for("WATCHDOG=1")


def test_socket_is_chosen_by_name(launch):
    """Another program starts the server as systemd does: with the sockets from descriptor 3 on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        number = sock.fileno()
        program = (
            f"import os, sys; os.dup2({number}, 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
            "os.execv(sys.argv[1], sys.argv[1:])"
        )
        environment = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
        prefix = [sys.executable, "-c", program]
        server = launch("workers", "--bind", "fd://web", env=environment, pass_fds=[number], prefix=prefix)
        wait_until_serving(server, "workers")
        assert server.port == sock.getsockname()[1]
        assert visit(server)


# Signals


def logging_to(path, mark=""):
    return json.dumps(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"format": f"{mark}%(levelname)s %(message)s"}},
            "handlers": {"file": {"class": "logging.FileHandler", "filename": str(path), "formatter": "line"}},
            "root": {"handlers": ["file"], "level": "INFO"},
        }
    )


def wait_for_text(path, text):
    wait_until(lambda: path.exists() and text in path.read_text())


def test_sighup_reads_log_configuration_again(launch, tmp_path):
    config, path = tmp_path / "log.json", tmp_path / "app.log"
    config.write_text(logging_to(path))
    server = launch("single", "--log-config", str(config))
    wait_for_text(path, "running on")
    server.port = int(path.read_text().split("http://127.0.0.1:")[1].split()[0])
    config.write_text(logging_to(path, mark="new "))
    server.signal(signal.SIGHUP)
    wait_for_text(path, "Received SIGHUP, reloading the log configuration.")
    pid = visit(server, "/log")["pid"]
    wait_for_text(path, "new WARNING a line")
    wait_for_text(path, "new INFO 127.0.0.1")
    config.write_text("{")
    server.signal(signal.SIGHUP)
    wait_for_text(path, "new ERROR Cannot set up logging with --log-config")
    assert visit(server)["pid"] == pid == server.pid


def test_sighup_renews_access_log_that_is_written_in_batches(launch, tmp_path):
    config = tmp_path / "log.json"

    def written(stream):
        handler = {"class": "pronghorn.logging.LineHandler", "stream": f"ext://sys.{stream}", "formatter": "access"}
        formatter = {"()": "pronghorn.logging.AccessFormatter", "use_colors": False}
        loggers = {"pronghorn.access": {"handlers": ["out"], "level": "INFO", "propagate": False}}
        config.write_text(
            json.dumps(
                {
                    "version": 1,
                    "disable_existing_loggers": False,
                    "formatters": {"access": formatter, "line": {"format": "%(message)s"}},
                    "handlers": {"out": handler, "log": {"class": "logging.StreamHandler", "formatter": "line"}},
                    "loggers": loggers,
                    "root": {"handlers": ["log"], "level": "INFO"},
                }
            )
        )

    written("stdout")
    server = launch("single", "--log-config", str(config), "--access-log-format", "%(path)s %(status)s")
    server.wait_until_running()
    visit(server, "/before")
    server.access.wait_for("^/before 200$")
    written("stderr")
    server.signal(signal.SIGHUP)
    server.log.wait_for("Received SIGHUP")
    visit(server, "/after")
    server.log.wait_for("^/after 200$")


@pytest.mark.parametrize(
    ("kind", "number", "lines"),
    [
        ("single", signal.SIGUSR1, ["Received SIGUSR1"]),
        ("single", signal.SIGHUP, ["Received SIGHUP"]),
        ("workers", signal.SIGUSR1, ["Received SIGUSR1"] * 3),
        ("workers", signal.SIGHUP, ["Received SIGHUP"]),
    ],
)
def test_moved_log_file_is_opened_again(launch, tmp_path, kind, number, lines):
    config, path, moved = tmp_path / "log.json", tmp_path / "app.log", tmp_path / "app.log.1"
    config.write_text(logging_to(path))
    server = launch(kind, "--log-config", str(config))
    processes = 2 if kind == "workers" else 1
    wait_until(lambda: path.exists() and path.read_text().count("startup complete") == processes)
    path.rename(moved)
    server.signal(number)
    wait_until(lambda: moved.read_text().count(lines[0]) == len(lines))
    wait_until(path.exists)
    server.signal()
    server.wait()
    last = "Finished server process" if kind == "single" else "Stopping parent process"
    assert last in path.read_text()
    if number == signal.SIGUSR1:
        assert path.read_text().count("Finished server process") == processes


def test_every_process_opens_its_standard_output_again(tmp_path):
    if sys.platform != "linux":
        pytest.skip("only Linux tells the name of a descriptor")
    path = tmp_path / "out"
    script = f'exec "$@" > {path} 2>&1'
    server = Process("service:app", "--port", "0", "--workers", "2", prefix=["sh", "-c", script, "sh"])
    try:
        wait_until(lambda: path.exists() and path.read_text().count("startup complete") == 2)
        path.rename(tmp_path / "out.1")
        server.signal(signal.SIGUSR1)
        wait_until(path.exists)
        wait_until(lambda: (tmp_path / "out.1").read_text().count("Received SIGUSR1") == 3)
        server.signal()
        assert server.wait() == 0
    finally:
        server.end()
    assert path.read_text().count("Finished server process") == 2
    assert "Stopping parent process" in path.read_text()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_signals_during_import_do_not_end_the_server(launch, number):
    server = launch("single", app="slow_service:app")
    server.log.wait_for("importing")
    server.signal(number)
    server.log.wait_for(f"Received {number.name}")
    server.wait_until_running()


def test_sigusr1_does_not_end_starting_workers(launch):
    server = launch("workers")
    server.log.wait_for("Started parent process")
    for _ in range(10):
        server.signal(signal.SIGUSR1)
    server.log.wait_for(r"\] serves", 2)
    assert "died" not in server.log.text()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_handler_of_application_wins(launch, number):
    server = launch("single", app="service:handles")
    server.wait_until_running()
    server.signal(number)
    server.log.wait_for(f"application got {number.name}")
    visit(server)
    assert f"Received {number.name}" not in server.log.text()


def test_server_started_by_nohup_reloads(launch):
    server = launch("single", prefix=["nohup"])
    server.wait_until_running()
    server.signal(signal.SIGHUP)
    server.log.wait_for("Received SIGHUP, reloading the log configuration.")


def test_sigusr1_does_not_end_stopping_workers(launch):
    """The worker waits some seconds for a child process of the application."""
    server = launch("workers", app="children:app")
    wait_until_serving(server, "workers")
    with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
        client.get("/other", "connection: close")
        child = int(client.read().body)
    try:
        server.signal()
        server.log.wait_for("Finished server process", 2)
        for worker in re.findall(r"Started server process \[(\d+)\]", server.log.text()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(worker), signal.SIGUSR1)
        server.log.wait_for("Exiting although threads or child processes")
    finally:
        os.kill(child, signal.SIGKILL)
