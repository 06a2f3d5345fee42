"""gRPC: the client of grpcio, with a service of connectrpc in each form and loop."""

import contextlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest

from tests.support.engines import TLS_ENGINES, choose
from tests.support.server import APPS, PATIENCE, Process, process, thread, wait_until
from tools.web_servers import nginx_configuration, program

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
pytest.importorskip("connectrpc", reason="connectrpc is not installed")
StringValue = pytest.importorskip("protobuf.wkt", reason="protobuf-py is not installed").StringValue

# Each channel has a connection of its own, and uses no proxy that the environment names.
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
LATE = 2 * PATIENCE  # a deadline that the service notices too late for the test
LONG = "long " * 600_000  # 3 MB; more than 4 MiB is refused by either side
PAGE = Path(__file__).parents[2] / "docs" / "grpc.md"


class Words:
    """A client of tests/apps/grpc_app.py. Each method takes and returns strings, or iterators of them."""

    def __init__(self, channel):
        self._channel = channel
        self.upper, self.wait, self.ending, self.process, self.missing = (
            self._method(channel.unary_unary, name) for name in ("Upper", "Wait", "Ending", "Process", "Missing")
        )
        self.join = self._method(channel.stream_unary, "Join")
        self.split, self.endless = (self._method(channel.unary_stream, name) for name in ("Split", "Endless"))
        self.echo = self._method(channel.stream_stream, "Echo")

    def wait_until_idle(self):
        """Wait until the server has sent GOAWAY, or closed the connection."""
        idle = threading.Event()

        def on_change(state):
            if state is grpc.ChannelConnectivity.IDLE:
                idle.set()

        self._channel.subscribe(on_change)
        assert idle.wait(PATIENCE)
        self._channel.unsubscribe(on_change)

    @staticmethod
    def _method(kind, name):
        return kind(
            f"/test.Words/{name}",
            request_serializer=lambda text: StringValue(value=text).to_binary(),
            response_deserializer=lambda data: StringValue.from_binary(data).value,
        )


@contextlib.contextmanager
def client(address, credentials=None):
    """Open a channel to a port or another address."""
    if isinstance(address, int):
        address = f"127.0.0.1:{address}"
    if credentials is None:
        opened = grpc.insecure_channel(address, OPTIONS)
    else:
        opened = grpc.secure_channel(address, credentials, (*OPTIONS, ("grpc.ssl_target_name_override", "localhost")))
    with opened as channel:
        yield Words(channel)


@contextlib.contextmanager
def conversation(words, name=""):
    """Open a call that streams in both directions; yield a function that sends, and the call."""
    sent = queue.SimpleQueue()
    call = words.echo(iter(sent.get, None), timeout=LATE, metadata=[("x-name", name)])
    try:
        yield sent.put, call
    finally:
        sent.put(None)
        call.cancel()


@pytest.fixture
def server(shared_servers, variant):
    return shared_servers("grpc_app:app", *variant, "--http2", "--timeout-body", "1")


@pytest.fixture
def words(server):
    with client(server.port) as words:
        yield words


@pytest.fixture
def name():
    """A name for one call."""
    return uuid.uuid4().hex


def test_unary_call_returns_a_message(words):
    assert words.upper("hello", timeout=PATIENCE) == "HELLO"


def test_client_streams(words):
    assert words.join(map(str, range(1000)), timeout=PATIENCE) == "".join(map(str, range(1000)))


def test_server_streams(words):
    sent = [str(number) for number in range(1000)]
    assert list(words.split(" ".join(sent), timeout=PATIENCE)) == sent


def test_both_stream_in_turns(words):
    with conversation(words) as (send, call):
        for number in range(1000):
            send(str(number))
            assert next(call) == str(number)
        send(None)
        assert list(call) == []
        assert call.code() is grpc.StatusCode.OK


def test_long_messages_pass_in_both_directions(words):
    with conversation(words) as (send, call):
        send(LONG)
        send(LONG)
        assert [next(call), next(call)] == [LONG, LONG]


def test_more_calls_than_streams_all_return(words):
    """A connection carries 128 streams at most; the client queues the other calls."""
    calls = [words.upper.future(f"call {number}", timeout=PATIENCE) for number in range(2000)]
    assert [call.result() for call in calls] == [f"CALL {number}" for number in range(2000)]


def test_metadata_arrives_in_headers_and_trailers(words):
    answer, call = words.upper.with_call("hello", timeout=PATIENCE, metadata=[("x-word", "hay")])
    assert answer == "HELLO"
    assert ("x-first", "hay") in call.initial_metadata()
    assert ("x-last", "hay") in call.trailing_metadata()


def test_error_arrives_with_its_message_and_metadata(words):
    with pytest.raises(grpc.RpcError) as caught:
        words.upper("missing", timeout=PATIENCE, metadata=[("x-word", "hay")])
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no ünicorn"
    assert ("x-last", "hay") in caught.value.trailing_metadata()


def test_error_arrives_after_messages(words):
    call = words.split("one two fail", timeout=PATIENCE)
    assert [next(call), next(call)] == ["one", "two"]
    with pytest.raises(grpc.RpcError):
        next(call)
    assert (call.code(), call.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "no more words")


def test_unknown_method_is_unimplemented(words):
    with pytest.raises(grpc.RpcError) as caught:
        words.missing("", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_cancelled_call_cancels_the_method(words, name):
    call = words.wait.future(name, timeout=LATE)
    with pytest.raises(grpc.FutureTimeoutError):
        call.result(0.1)
    call.cancel()
    assert words.ending(name, timeout=PATIENCE) == "CancelledError"


def test_cancelled_call_ends_the_stream_of_requests(words, name):
    with conversation(words, name) as (send, call):
        send("hello")
        assert next(call) == "hello"
        call.cancel()
        assert words.ending(name, timeout=PATIENCE) == "ConnectError"


def test_cancelled_call_ends_an_endless_response(words, name):
    call = words.endless(name, timeout=LATE)
    next(call)
    call.cancel()
    assert words.ending(name, timeout=PATIENCE) in ("CancelledError", "GeneratorExit")


def test_deadline_ends_the_method(words, name):
    with pytest.raises(grpc.RpcError) as caught:
        words.wait(name, timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert words.ending(name, timeout=PATIENCE) == "CancelledError"


def test_silent_call_outlives_the_timeout_of_bodies(server, words, connect):
    with conversation(words) as (send, call):
        send("hello")
        assert next(call) == "hello"
        # The silence of the call begins before that of this client, which the same timeout ends.
        silent = connect(server)
        silent.get("/test.Words/Upper", "content-type: application/proto", "content-length: 5", method="POST")
        assert silent.read().status == 408
        send("still here")
        assert next(call) == "still here"


def test_method_answers_json_over_http_1(server, connect):
    asking = connect(server)
    asking.post("/test.Words/Upper", b'"hello"', "content-type: application/json")
    answer = asking.read()
    assert (answer.status, answer.body) == (200, b'"HELLO"')


def test_status_in_the_headers_is_enough():
    """The response is "trailers-only", as gRPC calls a head that ends its stream."""

    async def app(scope, receive, send):
        fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"7"), (b"grpc-message", b"not%20you")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body"})

    with thread(app, http2=True, lifespan="off") as server, client(server.port) as words:
        with pytest.raises(grpc.RpcError) as caught:
            words.upper("hello", timeout=PATIENCE)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, "not you")


@pytest.mark.parametrize("engine", TLS_ENGINES)
def test_tls_carries_calls(engine, certificates, monkeypatch):
    engine, loop = engine.split("-")
    choose(loop, engine, monkeypatch)
    monkeypatch.syspath_prepend(str(APPS))
    credentials = grpc.ssl_channel_credentials(certificates.authority.read_bytes())
    with (
        thread("grpc_app:app", loop=loop, http2=True, **certificates.parameters) as server,
        client(server.port, credentials) as words,
        conversation(words) as (send, call),
    ):
        assert words.upper("hello", timeout=PATIENCE) == "HELLO"
        send(LONG)
        assert next(call) == LONG


def test_stop_lets_calls_end(variant):
    form, loop = variant
    with process("grpc_app:app", "--http2", "--loop", loop, form=form) as server, client(server.port) as words:
        with conversation(words) as (send, call):
            send("hello")
            assert next(call) == "hello"
            server.signal(signal.SIGTERM)
            words.wait_until_idle()
            send("goodbye")
            assert next(call) == "goodbye"
            send(None)
            assert list(call) == []
            assert call.code() is grpc.StatusCode.OK
        assert server.wait() == -signal.SIGTERM


def test_call_after_the_keep_alive_timeout_connects_anew(variant):
    form, loop = variant
    flags = ("--http2", "--loop", loop, "--timeout-keep-alive", "1")
    with process("grpc_app:app", *flags, form=form) as server, client(server.port) as words:
        assert words.upper("hello", timeout=PATIENCE) == "HELLO"
        words.wait_until_idle()
        assert words.upper("again", timeout=PATIENCE) == "AGAIN"


@pytest.mark.skipif(sys.platform == "win32", reason="needs inherited file descriptors")
def test_deploy_loses_no_call(variant):
    """Another server takes over the socket while a client calls all the time."""
    form, loop = variant
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        number = listener.fileno()

        def start():
            flags = ("--http2", "--loop", loop, "--fd", str(number))
            server = Process("grpc_app:app", *flags, form=form, pass_fds=[number])
            stack.callback(server.end)
            server.wait_until_running()
            return server

        old = start()
        words = stack.enter_context(client(listener.getsockname()[1]))
        answered = set()
        new = None
        end = time.monotonic() + PATIENCE
        while new is None or answered != {str(new.pid)}:
            assert time.monotonic() < end
            calls = [words.process.future("", timeout=PATIENCE) for _ in range(100)]
            if new is None:
                new = start()
                calls += [words.process.future("", timeout=PATIENCE) for _ in range(100)]
                old.signal(signal.SIGTERM)
            answered = {call.result() for call in calls}
        assert old.wait() == -signal.SIGTERM


@pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed")
def test_documented_nginx_passes_calls_on(start, certificates, name):
    server = start("grpc_app:app", "--http2")
    recipe = re.search(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    with tempfile.TemporaryDirectory() as folder:  # its path is short enough for a Unix socket
        for documented, ours in (
            ("443", f"unix:{folder}/front"),
            ("/etc/ssl/example.pem", str(certificates.certificate)),
            ("/etc/ssl/example.key", str(certificates.key)),
            ("example.Greeter", "test.Words"),
            ("127.0.0.1:8000", f"127.0.0.1:{server.port}"),
        ):
            assert documented in recipe
            recipe = recipe.replace(documented, ours)
        file = Path(folder, "nginx.conf")
        file.write_text(nginx_configuration(recipe))
        command = [program("nginx"), "-p", folder, "-c", str(file), "-e", "stderr"]
        credentials = grpc.ssl_channel_credentials(certificates.authority.read_bytes())
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as nginx:
            try:
                wait_until(Path(folder, "front").exists)
                with client(f"unix:{folder}/front", credentials) as words, conversation(words, name) as (send, call):
                    assert words.upper("hello", timeout=PATIENCE, wait_for_ready=True) == "HELLO"
                    with pytest.raises(grpc.RpcError) as caught:
                        words.upper("missing", timeout=PATIENCE)
                    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
                    for text in ("in turns", LONG):
                        send(text)
                        assert next(call) == text
                    call.cancel()
                    assert words.ending(name, timeout=PATIENCE) == "ConnectError"
            finally:
                nginx.kill()
