"""The life of the process: lifespan, signals, drain and exit codes."""

import re
import signal
import socket

import pytest

from tests.support.server import Process


@pytest.fixture
def launch():
    """A function that launches a server that may fail to start."""
    launched = []

    def launch(app, *flags, **options):
        launched.append(Process(app, *flags, **options))
        return launched[-1]

    yield launch
    for process in launched:
        process.end()


def assert_in_order(server, *patterns):
    """Check that the log has each pattern, in this order."""
    text = server.log.text()
    places = [text.find(pattern) for pattern in patterns]
    assert -1 not in places, text
    assert places == sorted(places), text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_signal_stops_server(start, variant, number, code):
    server = start("lifespan:whole", "--loop", variant[1], form=variant[0])
    server.signal(number)
    assert server.wait() == code
    assert_in_order(
        server,
        f"INFO:     Started server process [{server.pid}]",
        "INFO:     Waiting for application startup.",
        "starting",
        "INFO:     Application startup complete.",
        f"INFO:     Pronghorn running on http://127.0.0.1:{server.port} (Press CTRL+C to quit)",
        "INFO:     Shutting down",
        "INFO:     Waiting for application shutdown.",
        "stopping",
        "INFO:     Application shutdown complete.",
        f"INFO:     Finished server process [{server.pid}]",
    )
    assert "Traceback" not in server.log.text()


def test_second_sigint_does_not_wait(start, connect):
    server = start("lifespan:whole")
    connect(server).get("/never")
    server.log.wait_for("never begins")
    server.signal(signal.SIGINT)
    server.log.wait_for("Waiting for connections")
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert "stopping" not in server.log.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_running_request_is_answered(start, connect, variant, number):
    server = start("lifespan:whole", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/slow", "content-length: 4", method="POST")
    server.log.wait_for("slow begins")
    server.signal(number)
    server.log.wait_for(r"Waiting for connections to close. \(CTRL\+C to force quit\)")
    client.send(b"body")
    answer = client.read()
    assert answer.body == b"ok"
    assert answer.field("connection") == "close"
    assert client.rest() == b""
    server.wait()
    assert_in_order(server, "Waiting for connections", "Waiting for application shutdown.", "stopping")


def test_idle_connection_is_closed(start, connect, variant):
    server = start("lifespan:whole", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/")
    assert client.read().field("connection") is None
    server.signal()
    assert client.rest() == b""
    server.wait()


def test_kept_connection_is_closed_with_notice(start, connect, variant):
    server = start("lifespan:whole", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/")
    assert client.read().field("connection") is None
    server.signal()
    assert client.get_until_notice() == "close"
    assert client.rest() == b""
    assert server.wait() == -signal.SIGTERM


def test_partial_head_is_completed_and_answered(start, connect, variant):
    server = start("lifespan:whole", "--loop", variant[1], form=variant[0])
    fresh, kept = connect(server), connect(server)
    kept.get("/")
    assert kept.read().field("connection") is None
    for client in (fresh, kept):
        client.send(b"GET / HTTP/1.1\r\nho")
    server.signal()
    server.log.wait_for("Waiting for connections to close")
    for client in (fresh, kept):
        client.send(b"st: test\r\n\r\n")
        answer = client.read()
        assert (answer.body, answer.field("connection")) == (b"ok", "close")
        assert client.rest() == b""
    assert server.wait() == -signal.SIGTERM


def test_stream_gets_disconnect(start, connect, variant):
    server = start("lifespan:whole", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/stream")
    server.log.wait_for("stream begins")
    server.signal()
    server.log.wait_for("stream was told")
    assert client.read().body == b"begunended"
    assert server.wait() == -signal.SIGTERM


def test_stream_that_begins_during_the_shutdown_gets_disconnect(start, connect, variant):
    server = start("lifespan:whole", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/stream", "content-length: 4", method="POST")
    server.log.wait_for("stream is called")
    server.signal()
    server.log.wait_for("Waiting for connections to close")
    client.send(b"body")
    server.log.wait_for("stream was told")
    assert client.read().body == b"begunended"
    assert server.wait() == -signal.SIGTERM


def test_server_waits_for_background_work(start, connect):
    server = start("lifespan:whole")
    client = connect(server)
    client.get("/background")
    assert client.read().status == 200
    server.log.wait_for("background begins")
    client.close()  # otherwise the server would wait for its next request
    server.signal()
    server.wait()
    assert_in_order(server, "Waiting for background tasks to complete. (CTRL+C to", "background ends", "stopping")


def test_task_that_does_not_end_in_time_is_cancelled(start, connect):
    server = start("lifespan:whole", "--timeout-graceful-shutdown", "1")
    client = connect(server)
    client.get("/never")
    server.log.wait_for("never begins")
    server.signal()
    assert server.wait() == -signal.SIGTERM
    assert_in_order(
        server,
        "ERROR:    Cancel 1 running task(s), timeout graceful shutdown exceeded",
        "never was cancelled",
        "Waiting for application shutdown.",
        "stopping",
    )


def test_cancelled_request_is_answered_500(start, connect):
    server = start("lifespan:whole", "--timeout-graceful-shutdown", "1")
    client = connect(server)
    client.get("/never")
    server.log.wait_for("never begins")
    server.signal()
    assert client.read().status == 500
    server.wait()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_accepted_and_queued_connections_are_answered(start, connect, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = start("lifespan:whole", "--loop", loop)
    blocking = connect(server)
    blocking.get("/block")
    server.log.wait_for("block begins")
    clients = [connect(server) for _ in range(20)]
    for client in clients:
        client.get("/")
    server.signal()
    assert blocking.read().body == b"ok"
    for client in clients:
        answer = client.read()
        assert answer.body == b"ok"
        assert client.rest() == b""
    assert server.wait() == -signal.SIGTERM


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_time_of_blocked_loop_does_not_count_for_timeouts(start, connect, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    client = connect(start("lifespan:whole", "--timeout-keep-alive", "2", "--loop", loop))
    client.get("/block?3.5")
    assert client.read().body == b"ok"
    client.get("/")
    assert client.read().body == b"ok"


def test_new_connections_are_refused_during_drain(start, connect):
    server = start("lifespan:whole")
    client = connect(server)
    client.get("/slow", "content-length: 4", method="POST")
    server.log.wait_for("slow begins")
    server.signal()
    server.log.wait_for("Waiting for connections")
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    client.send(b"body")
    assert client.read().body == b"ok"


def test_failed_lifespan_startup_ends_with_3(launch):
    server = launch("lifespan:says_no")
    assert server.wait() == 3
    assert_in_order(server, "ERROR:    no database", "ERROR:    Application startup failed. Exiting.")
    assert "running on" not in server.log.text()


def test_lifespan_exception_ends_with_3_if_lifespan_is_on(launch):
    server = launch("lifespan:raises", "--lifespan", "on")
    assert server.wait() == 3
    assert_in_order(
        server,
        "ERROR:    Exception in 'lifespan' protocol",
        "ValueError: no lifespan here",
        "ERROR:    Application startup failed. Exiting.",
    )


def test_lifespan_exception_is_ignored_if_lifespan_is_auto(start, connect):
    server = start("lifespan:raises")
    assert "INFO:     ASGI 'lifespan' protocol appears unsupported." in server.log.text()
    client = connect(server)
    client.get("/")
    assert client.read().body == b"ok"


def test_lifespan_off_sends_no_events(start):
    server = start("lifespan:whole", "--lifespan", "off")
    server.signal()
    server.wait()
    assert "starting" not in server.log.text()
    assert "Waiting for application" not in server.log.text()


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("no_such_module:app", 'Error loading ASGI app. Could not import module "no_such_module".'),
        ("lifespan:nothing", 'Error loading ASGI app. Attribute "nothing" not found in module "lifespan".'),
        ("lifespan", 'Error loading ASGI app. Import string "lifespan" must be in format "<module>:<attribute>".'),
    ],
)
def test_application_that_cannot_be_loaded_ends_with_3(launch, target, line):
    server = launch(target)
    assert server.wait() == 3
    assert f"ERROR:    {line}" in server.log.text()
    assert "Traceback" not in server.log.text()


def test_port_in_use_ends_with_3(launch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = launch("lifespan:whole", "--port", str(taken.getsockname()[1]))
        assert server.wait() == 3
    assert "address already in use" in server.log.text()
    assert "running on" not in server.log.text()


@pytest.fixture
def taken():
    """A socket bound to an address where another one listens."""
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", 0))
        try:
            second.bind(first.getsockname())
        except OSError:
            pytest.skip("two sockets cannot share an address here, even if none listens")
        first.listen()
        yield second


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), "tls"], ids=["one", "workers", "tls"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_lifespan_is_shut_down_if_listening_fails(launch, loop, flags, taken, certificates):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    if flags == "tls":
        files = certificates.parameters
        flags = ("--ssl-certfile", str(files["ssl_certfile"]), "--ssl-keyfile", str(files["ssl_keyfile"]))
    flags = ("--loop", loop, *flags)
    server = launch("lifespan:whole", "--fd", str(taken.fileno()), *flags, pass_fds=[taken.fileno()])
    assert server.wait() == 3
    name = re.escape(repr(taken.getsockname()))
    server.log.wait_for(rf"ERROR: .*while attempting to listen on address {name}: address already in use")
    assert list(server.log).count("stopping") == server.log.text().count("startup complete") > 0
    assert "Traceback" not in server.log.text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_signal_ends_startup_at_once(launch, loop, number, code):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = launch("lifespan:hangs_at_startup", "--port", "0", "--loop", loop, "--timeout-graceful-shutdown", "600")
    server.log.wait_for("hanging")
    server.signal(number)
    assert server.wait() == code
    assert "cleaning up" in server.log.text()
    assert "running on" not in server.log.text()
    assert "Traceback" not in server.log.text()


def test_hanging_lifespan_shutdown_ends_at_timeout(start):
    server = start("lifespan:hangs_at_shutdown", "--timeout-graceful-shutdown", "1")
    server.signal()
    server.log.wait_for("hanging")
    assert server.wait() == -signal.SIGTERM


def test_request_limit_stops_server(start, connect):
    server = start("lifespan:whole", "--limit-max-requests", "2")
    for _ in range(2):
        client = connect(server)
        client.get("/")
        assert client.read().body == b"ok"
    assert server.wait() == 0
    assert "INFO:     Maximum request limit of 2 exceeded. Terminating process." in server.log.text()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--limit-max-rss", "1"), r"Resident memory of \d+\.\d MiB exceeds the limit of 1\.0 MiB"),
        (("--limit-worker-lifetime", "0.5"), "Maximum lifetime of 0 seconds exceeded"),
    ],
)
def test_limit_of_memory_or_age_stops_server(flags, line):
    server = Process("lifespan:whole", "--port", "0", *flags)
    assert server.wait() == 0
    server.log.wait_for(rf"INFO:     {line}\. Terminating process\.")
    server.log.wait_for("Finished server process")
