"""`--workers`: processes that share sockets, and the supervisor that starts and replaces them."""

import contextlib
import os
import re
import signal
import socket
import sys
import time

import pytest

from tests.support.raw_client import Client, visit
from tests.support.server import Process

FORKED = pytest.param(("--preload",), marks=pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux"))


@pytest.fixture(params=[(), FORKED], ids=["spawned", "forked"])
def start_two(request, start):
    """A function that starts two workers."""

    def start_two(*flags, app="processes:app", **environment):
        flags = (*request.param, *flags)
        server = start(app, "--workers", "2", "--log-level", "debug", *flags, env=environment)
        server.log.wait_for(r"\] serves", 2)
        return server

    return start_two


def pids(server):
    """The process ids of the workers in the order of their start."""
    return [int(found[1]) for line in server.log if (found := re.search(r"Started server process \[(\d+)\]", line))]


def is_free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock.connect_ex(("127.0.0.1", port)) != 0 and sock.bind(("127.0.0.1", port)) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_serve_until_signal(start_two, number):
    server = start_two()
    assert int(visit(server)) in pids(server)
    server.signal(number)
    assert server.wait() == 0
    lines = list(server.log)
    for line in (
        f"INFO:     Started parent process [{server.pid}]",
        f"INFO:     Received {number.name}, exiting.",
        *(f"INFO:     Terminated child process [{pid}]" for pid in pids(server)),
        *(f"INFO:     Waiting for child process [{pid}]" for pid in pids(server)),
        *(f"INFO:     Finished server process [{pid}]" for pid in pids(server)),
    ):
        assert lines.count(line) == 1, server.log.text()
    assert lines[-1] == f"INFO:     Stopping parent process [{server.pid}]"
    assert sum("running on" in line for line in lines) == 1
    assert "running on" in lines[0]
    assert "Traceback" not in server.log.text()
    assert len([line for line in server.access if "GET / HTTP/1.1" in line]) == 1


def test_workers_serve_unix_socket(start_two, tmp_path):
    path = str(tmp_path / "socket")
    server = start_two("--uds", path)
    assert int(visit(server, place=path)) in pids(server)
    server.signal()
    assert server.wait() == 0
    assert not os.path.exists(path)


def test_workers_serve_inherited_socket():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        fd = str(sock.fileno())
        server = Process("processes:app", "--workers", "2", "--fd", fd, pass_fds=[sock.fileno()])
        try:
            server.log.wait_for("running on socket")
            server.log.wait_for("Application startup complete")
            assert visit(server, place=sock.getsockname())
        finally:
            server.signal()
            assert server.wait() == 0


@pytest.mark.parametrize("line", ["Started parent process", "Started server process", r"\] serves"])
def test_ctrl_c_ends_all_processes_at_each_stage_of_startup(line):
    server = Process("processes:app", "--workers", "2", "--port", "0", "--log-level", "debug", session=True)
    try:
        server.log.wait_for(line)
        server.signal_group(signal.SIGINT)
        assert server.wait() == 0
    finally:
        server.end()
    assert "Traceback" not in server.log.text()
    assert "Stopping parent process" in list(server.log)[-1]


def test_workers_survive_ctrl_z_and_continue():
    flags = ("--workers", "2", "--port", "0", "--log-level", "debug", "--timeout-worker-healthcheck", "1")
    server = Process("processes:app", *flags, session=True)
    try:
        server.log.wait_for(r"\] serves", 2)
        server.signal_group(signal.SIGSTOP)
        time.sleep(2.5)  # longer than the health check allows
        server.signal_group(signal.SIGCONT)
        server.wait_until_running()
        assert visit(server)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    finally:
        server.end()
    assert "died" not in server.log.text()


def test_killed_worker_is_replaced(start_two):
    server = start_two()
    killed = pids(server)[0]
    os.kill(killed, signal.SIGKILL)
    server.log.wait_for(rf"INFO:     Child process \[{killed}\] died: SIGKILL")
    server.log.wait_for(r"\] serves", 3)


@pytest.mark.parametrize("code", [1, 3])
def test_exited_worker_is_replaced_for_each_exit_code(start_two, connect, code):
    server = start_two()
    connect(server).get(f"/exit?code={code}")
    server.log.wait_for(rf"INFO:     Child process \[\d+\] died: exit code {code}")
    server.log.wait_for(r"\] serves", 3)


def test_killed_worker_is_replaced_while_its_fork_lives_on(start_two):
    server = start_two()
    parent = int(visit(server, "/fork"))
    child = int(server.log.wait_for(r"forked (\d+)")[1])
    try:
        os.kill(parent, signal.SIGKILL)
        server.log.wait_for(rf"Child process \[{parent}\] died: SIGKILL")
    finally:
        os.kill(child, signal.SIGKILL)


def test_worker_that_garbles_pipe_is_replaced(start_two):
    server = start_two("--timeout-worker-healthcheck", "60")
    garbled = int(visit(server, "/garble"))
    server.log.wait_for(rf"ERROR:    Lost contact with child process \[{garbled}\]: ")
    server.log.wait_for(rf"Child process \[{garbled}\] died: exit code 0")
    server.log.wait_for(r"\] serves", 3)
    server.signal()
    assert server.wait() == 0
    assert server.log.text().count("Lost contact") == 1


def test_worker_that_closes_every_descriptor_is_replaced(start_two):
    server = start_two("--timeout-worker-healthcheck", "2")
    closed = int(visit(server, "/close"))
    server.log.wait_for(rf"Child process \[{closed}\] died")
    server.log.wait_for(r"\] serves", 3)
    server.signal()
    assert server.wait() == 0


def test_crash_loop_is_slowed_down(start):
    server = start("processes:dies", "--workers", "2")
    server.log.wait_for("died: exit code 7")
    began = time.monotonic()
    server.log.wait_for("died: exit code 7", 5)
    assert time.monotonic() - began > 1.4


def test_worker_with_busy_event_loop_is_not_replaced(start_two):
    server = start_two("--timeout-worker-healthcheck", "1")
    assert int(visit(server, "/busy?seconds=2.5")) in pids(server)[:2]
    assert "died" not in server.log.text()


def test_suspended_worker_is_replaced(start_two):
    server = start_two("--timeout-worker-healthcheck", "1")
    stopped = int(visit(server))
    os.kill(stopped, signal.SIGSTOP)
    server.log.wait_for(rf"Child process \[{stopped}\] died: no answer")
    server.log.wait_for(r"\] serves", 3)
    server.signal()
    assert server.wait() == 0


def test_workers_serve_several_addresses_over_tls(start_two, tmp_path, certificates):
    path = str(tmp_path / "socket")
    files = certificates.parameters
    tls = ("--ssl-certfile", files["ssl_certfile"], "--ssl-keyfile", files["ssl_keyfile"])
    server = start_two("--bind", "127.0.0.1:0", "--bind", "localhost:0", "--bind", f"unix:{path}", *map(str, tls))
    served = [int(found[1]) for found in (re.search(r"on https://.+:(\d+) ", line) for line in server.log) if found]
    assert len(served) == 2
    context = certificates.trust()
    for place in (*(("127.0.0.1", port) for port in served), path):
        with contextlib.closing(Client(place)) as client:
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
            client.get("/", "connection: close")
            assert int(client.read().body) in pids(server)
    server.signal()
    assert server.wait() == 0
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("app", "line"),
    [
        ("missing:app", 'ERROR:    Error loading ASGI app. Could not import module "missing".'),
        ("lifespan:says_no", "ERROR:    Application startup failed. Exiting."),
    ],
)
def test_parent_exits_if_first_workers_cannot_start(app, line):
    server = Process(app, "--workers", "2", "--port", "0")
    assert server.wait() == 3
    assert any(each.startswith(line) for each in server.log)
    server.log.wait_for(r"ERROR:    Child process \[\d+\] failed to start, stopping the parent process.")
    assert "Traceback" not in server.log.text()


def test_exit_of_worker_that_cannot_start_is_not_interrupted(tmp_path):
    server = Process("exits_slowly:app", "--workers", "2", "--port", "0", env={"MARKS": str(tmp_path)})
    assert server.wait() == 3
    text = server.log.text()
    assert text.count("cleanup begins") == text.count("cleanup ends") == 1
    assert "Traceback" not in text


def test_failed_replacement_of_dead_worker_is_retried(start_two, tmp_path):
    start = tmp_path / "start"
    start.write_text("")
    server = start_two(START=str(start))
    visit(server)  # by then the parent knows that both serve
    start.write_text("fail")
    os.kill(pids(server)[0], signal.SIGKILL)
    server.log.wait_for(r"ERROR:    Child process \[\d+\] failed to start: exit code 3")
    assert visit(server)
    start.write_text("")
    server.log.wait_for(r"\] serves", 3)


def test_address_in_use_exits_with_3():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = Process("processes:app", "--workers", "2", "--port", str(sock.getsockname()[1]))
        assert server.wait() == 3
    assert "address already in use" in server.log.text()


def test_sighup_replaces_workers_without_gap(start_two):
    server = start_two()
    before = pids(server)
    visit(server)
    server.signal(signal.SIGHUP)
    server.log.wait_for("INFO:     Received SIGHUP, restarting processes.")
    while server.log.text().count("Finished server process") < 2:
        with contextlib.ExitStack() as stack:
            address = ("127.0.0.1", server.port)
            clients = [stack.enter_context(contextlib.closing(Client(address))) for _ in range(8)]
            for client in clients:
                client.get("/", "connection: close")
            assert [client.read().status for client in clients] == [200] * 8
    new = pids(server)[2:]
    assert len(new) == 2
    assert int(visit(server)) in new
    lines = [line for line in server.log if re.search("Started server|Terminated", line)]
    assert [line.split("[")[0] for line in lines[2:]] == [
        "INFO:     Started server process ",
        "INFO:     Terminated child process ",
    ] * 2
    assert {int(re.search(r"\d+", line)[0]) for line in lines if "Terminated" in line} == set(before)


@pytest.mark.parametrize(
    ("state", "why"), [("hang", "was not ready in time"), ("fail", r"failed to start \(exit code 3\)")]
)
def test_sighup_keeps_old_workers_if_new_one_does_not_serve(start_two, tmp_path, state, why):
    file = tmp_path / "start"
    file.write_text("")
    server = start_two("--timeout-worker-healthcheck", "2", START=str(file))
    old = pids(server)
    file.write_text(state)
    server.signal(signal.SIGHUP)
    line = (
        rf"ERROR:    New child process \[\d+\] {why}; keeping worker \[({old[0]}|{old[1]})\] and aborting the restart."
    )
    server.log.wait_for(line)
    assert int(visit(server)) in old
    file.write_text("")
    server.signal(signal.SIGHUP)
    server.log.wait_for("Finished server process", 2)


def test_sigttin_and_sigttou_change_number_of_workers(start_two):
    server = start_two()
    server.signal(signal.SIGTTIN)
    server.log.wait_for("INFO:     Received SIGTTIN, increasing the number of processes.")
    server.log.wait_for(r"\] serves", 3)
    for count in (1, 2):
        server.signal(signal.SIGTTOU)
        server.log.wait_for("INFO:     Received SIGTTOU, decreasing number of processes.", count)
        server.log.wait_for("Terminated child process", count)
        server.log.wait_for("Finished server process", count)
    server.signal(signal.SIGTTOU)
    server.log.wait_for("INFO:     Already reached one process, cannot decrease the number of processes anymore.")
    assert visit(server)


def test_other_signals_have_no_effect(start_two):
    server = start_two()
    for number in (signal.SIGWINCH, signal.SIGQUIT):
        server.signal(number)
        server.log.wait_for(f"DEBUG:    Received signal {number.name}, but no handler is defined for it.")
    assert visit(server)


def test_worker_at_request_limit_is_replaced_before_it_stops(start_two):
    server = start_two("--limit-max-requests", "5", "--limit-max-requests-jitter", "3")
    seen = set()
    while len(seen) < 4:
        seen.add(visit(server))
    server.log.wait_for("INFO:     Maximum request limit of [5-8] exceeded. Terminating process.", 2)
    lines = [line for line in server.log if re.search("Started server|Terminated", line)]
    assert "Started" in lines[2]
    assert "died" not in server.log.text()


def test_kept_alive_connection_is_closed_with_notice_at_request_limit(start_two):
    server = start_two("--limit-max-requests", "5")
    for _ in range(4):
        with contextlib.closing(Client(("127.0.0.1", server.port))) as client:
            assert client.get_until_notice() == "close"
            assert client.rest() == b""


def test_workers_end_and_free_port_when_parent_dies(start_two):
    server = start_two()
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    assert server.log.text().count("Finished server process") == 2
    assert is_free(server.port)


def test_running_request_is_answered_during_shutdown(start_two, connect):
    server = start_two()
    client = connect(server)
    client.get("/busy?seconds=1")
    server.log.wait_for("^busy")
    server.signal()
    assert int(client.read().body) in pids(server)
    assert server.wait() == 0


def test_second_sigint_ends_without_waiting(start_two, connect):
    server = start_two("--timeout-graceful-shutdown", "60")
    client = connect(server)
    client.get("/stream")
    client.read_head()
    server.signal(signal.SIGINT)
    server.log.wait_for("Waiting for connections to close")
    server.signal(signal.SIGINT)
    assert server.wait() == 0


def test_worker_that_does_not_stop_in_time_is_killed(start_two, connect):
    server = start_two("--timeout-graceful-shutdown", "0")
    client = connect(server)
    client.get("/busy?seconds=60")
    server.log.wait_for("^busy")
    server.signal()
    assert server.wait() == 0
    server.log.wait_for(r"ERROR:    Child process \[\d+\] did not end in time, killing it.")


def test_worker_at_its_memory_limit_is_replaced_before_it_stops(start_two):
    server = start_two("--limit-max-rss", "200")
    grown = int(visit(server, "/grow?mib=200"))
    server.log.wait_for(r"INFO:     Resident memory of \d+\.\d MiB exceeds the limit of 200\.0 MiB\. Terminating")
    server.log.wait_for(rf"Terminated child process \[{grown}\]")
    server.log.wait_for(rf"Finished server process \[{grown}\]")
    lines = [line for line in server.log if re.search("Started server|Terminated", line)]
    assert "Started" in lines[2]
    assert len(pids(server)) == 3
    assert "died" not in server.log.text()


def test_workers_at_their_age_limit_are_replaced_one_by_one(start_two):
    server = start_two("--limit-worker-lifetime", "1.5", "--limit-worker-lifetime-jitter", "0.5")
    server.log.wait_for("INFO:     Maximum lifetime of [12] seconds exceeded. Terminating process.", 2)
    server.log.wait_for("Finished server process", 2)
    lines = [line.split("[")[0] for line in server.log if re.search("Started server|Terminated child", line)]
    assert lines[2:6] == ["INFO:     Started server process ", "INFO:     Terminated child process "] * 2
    assert visit(server)


def test_killed_worker_loses_only_what_it_had_in_hand(start_two):
    server = start_two()
    clients = {}
    with contextlib.ExitStack() as stack:
        while len(clients) < 2:
            client = stack.enter_context(contextlib.closing(Client(("127.0.0.1", server.port))))
            client.get("/")
            clients[int(client.read().body)] = client
        for client in clients.values():
            client.get("/wait?seconds=1")
        server.log.wait_for("^waiting", 2)
        killed, survivor = clients
        os.kill(killed, signal.SIGKILL)
        for _ in range(20):
            assert int(visit(server)) != killed
        assert int(clients[survivor].read().body) == survivor
        clients[survivor].get("/")
        assert int(clients[survivor].read().body) == survivor
        with contextlib.suppress(ConnectionResetError):
            assert clients[killed].rest() == b""
