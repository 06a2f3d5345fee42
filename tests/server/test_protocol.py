"""The protocol on a real loop with a recording transport: tasks, contexts, errors and disconnects."""

import asyncio
import contextlib
import contextvars
import logging
import select
import socket
import sys

import pytest

from pronghorn import backend
from pronghorn.config import Config
from pronghorn.errors import ClientDisconnected
from pronghorn.metrics import layout
from pronghorn.server import transports
from pronghorn.server.protocol import HTTPProtocol
from pronghorn.server.state import WARNINGS_A_SECOND, ServerState
from tests.support.forms import FORMS

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok"}
STREAM = {"type": "http.response.start", "status": 200}
PART = {"type": "http.response.body", "body": b"a", "more_body": True}
FAILED = (
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 21\r\nconnection: close\r\n\r\nInternal Server Error"
)
CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 19\r\nconnection: close\r\n\r\nService Unavailable"
)


class Transport(asyncio.Transport):
    """Records what is written. `close` and `abort` end the connection in the next event-loop iteration."""

    def __init__(self, loop, protocol, **extra):
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000), **extra})
        self.written = b""
        self.calls = []
        self.closed = asyncio.Event()
        self._loop = loop
        self._protocol = protocol
        self._closing = False

    def write(self, data):
        self.written += data

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    def get_write_buffer_size(self):
        return 0

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.calls.append("write_eof")

    def pause_reading(self):
        self.calls.append("pause_reading")

    def resume_reading(self):
        self.calls.append("resume_reading")

    def is_closing(self):
        return self._closing

    def close(self):
        self._end("close")

    def abort(self):
        self._end("abort")

    def _end(self, call):
        self.calls.append(call)
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose)

    def _lose(self):
        self._protocol.connection_lost(None)
        self.closed.set()


class Service:
    """A server of one application in the running loop."""

    def __init__(self, wire, application, **options):
        loop = asyncio.get_running_loop()
        config = Config(
            application, log_config=None, server_header=False, date_header=False, access_log=False, **options
        )
        config.load()
        self.state = ServerState()
        form = backend.form(FORMS[wire.form], wire.form)
        self.state.prepare(config, form, loop, {})
        self.now = 0

    def connect(self, **extra):
        """Open a connection; return its protocol and transport."""
        protocol = HTTPProtocol(self.state)
        transport = Transport(self.state.loop, protocol, **extra)
        protocol.connection_made(transport)
        return protocol, transport

    def tick(self):
        self.now += 1
        self.state.tick(self.now)

    async def idle(self):
        """Wait until no application has run for three iterations."""
        idle = 0
        while idle < 3:
            idle += 1
            if self.state.tasks:
                await asyncio.wait(self.state.tasks)
                idle = 0
            await iterations(1)


@contextlib.asynccontextmanager
async def connected(service, kind=socket.socket):
    """A connection over real sockets: the client's, the server's, which is of `kind`, its transport and protocol."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.setblocking(False)
        ours = kind(fileno=server.accept()[0].detach())
        ours.setblocking(False)
        yield client, ours, *await loop.connect_accepted_socket(lambda: HTTPProtocol(service.state), ours)


async def iterations(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def log():
    """The errors and warnings logged: (level, message, exception)."""
    records = []

    class Handler(logging.Handler):
        def emit(self, record):
            records.append((record.levelname, record.getMessage(), record.exc_info and record.exc_info[1]))

    logger = logging.getLogger("pronghorn.error")
    handler = Handler()
    level, disabled = logger.level, logger.disabled
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.disabled = False
    yield records
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.disabled = disabled


def uvloop_loop():
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop_loop], ids=["asyncio", "uvloop"])
def run(request):
    """A function that runs a coroutine function in a new loop, with a time limit."""

    def run_in_loop(main):
        async def bounded():
            return await asyncio.wait_for(main(), 10)

        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(bounded())

    return run_in_loop


async def answer(send):
    await send(START)
    await send(BODY)


def exchange(wire, run, application, data=GET, **options):
    """Send `data` to `application`; return the bytes written and the calls of the transport."""

    async def main():
        service = Service(wire, application, **options)
        protocol, transport = service.connect()
        protocol.data_received(data)
        await iterations()
        await service.idle()
        return transport.written, transport.calls

    return run(main)


# Tasks


def test_application_runs_in_one_task_before_and_after_waiting(wire, run):
    seen = []

    async def application(scope, receive, send):
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        await answer(send)

    assert exchange(wire, run, application)[0] == OK
    assert isinstance(seen[0], asyncio.Task)
    assert seen[0] is seen[1]
    assert isinstance(seen[0].get_name(), str)
    assert seen[0].get_name()


def test_task_of_caller_is_current_again_after_application(wire, run):
    async def application(scope, receive, send):
        await asyncio.sleep(0)
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, _ = service.connect()
        before = asyncio.current_task()
        protocol.data_received(GET)
        after = asyncio.current_task()
        await service.idle()
        return before is after

    assert run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of 3.12")
def test_application_starts_at_once(wire, run):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        done = protocol.connection.is_idle() and not service.state.tasks
        await iterations()
        return done, transport.written

    assert run(main) == (True, OK)


def test_task_group_and_timeout_work_before_and_after_waiting(wire, run):
    async def part(send, message):
        await send(message)

    async def application(scope, receive, send):
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(part(send, START))
        await asyncio.sleep(0)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(part(send, BODY))

    assert exchange(wire, run, application)[0] == OK


def test_timeout_started_before_waiting_ends_the_wait(wire, run):
    async def application(scope, receive, send):
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            await answer(send)

    assert exchange(wire, run, application)[0] == OK


def test_listener_in_task_group_may_be_cancelled(wire, run):
    async def application(scope, receive, send):
        await receive()
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(receive())
            await answer(send)
            listener.cancel()

    assert exchange(wire, run, application, GET + GET)[0] == OK * 2


def test_anyio_works_before_and_after_waiting(wire, run):
    anyio = pytest.importorskip("anyio")

    async def application(scope, receive, send):
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        async with anyio.create_task_group() as group:
            group.start_soon(send, START)
        assert await anyio.to_thread.run_sync(lambda: 5) == 5
        await send(BODY)

    assert exchange(wire, run, application)[0] == OK


def test_tasks_are_known_while_they_run(wire, run):
    async def main():
        gate = asyncio.Event()

        async def application(scope, receive, send):
            await gate.wait()
            await answer(send)

        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        running = len(service.state.tasks)
        gate.set()
        await service.idle()
        return running, len(service.state.tasks)

    assert run(main) == (1, 0)


def test_task_factory_is_respected(wire, run):
    class Task(asyncio.Task):
        pass

    seen = []

    async def application(scope, receive, send):
        seen.append(asyncio.current_task())
        await answer(send)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coroutine, **options: Task(coroutine, loop=loop, **options))
        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        await iterations()
        await service.idle()
        return transport.written

    assert run(main) == OK
    assert type(seen[0]) is Task


def test_task_factory_without_context_parameter_works(wire, run):
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    async def application(scope, receive, send):
        seen.append(variable.get())
        variable.set(variable.get() + 1)
        await answer(send)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
        service = Service(wire, application)
        protocol, transport = service.connect()
        variable.set(1)  # the server has started: no request sees it
        protocol.data_received(GET + GET)
        await iterations(10)
        await service.idle()
        loop.set_task_factory(None)  # uvloop could not be closed with it
        return transport.written

    assert run(main) == OK * 2
    assert seen == [0, 0]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of 3.12")
def test_eager_task_factory_is_respected(wire):
    async def application(scope, receive, send):
        await asyncio.sleep(0)
        await answer(send)

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET + GET)
        await iterations(10)
        await service.idle()
        return transport.written

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # uvloop's create_task does not support it
        assert runner.run(main()) == OK * 2


def test_next_request_is_served_while_background_work_runs(wire, run):
    async def main():
        gate = asyncio.Event()

        async def application(scope, receive, send):
            await answer(send)
            await gate.wait()

        service = Service(wire, application)
        protocol, transport = service.connect()
        for _ in range(2):
            protocol.data_received(GET)
            await iterations()
        written, running = transport.written, len(service.state.tasks)
        gate.set()
        await service.idle()
        return written, running

    assert run(main) == (OK * 2, 2)


# Contexts


variable = contextvars.ContextVar("variable", default="unset")


@pytest.mark.parametrize("pause", [False, True], ids=["at once", "after a pause"])
def test_context_of_pipelined_request_does_not_reach_next(wire, run, pause):
    seen = []

    async def application(scope, receive, send):
        seen.append(variable.get())
        variable.set(scope["path"])
        if pause:
            await asyncio.sleep(0)
        await send(START)
        await send({**BODY, "more_body": True})
        await send({"type": "http.response.body"})

    written, _ = exchange(wire, run, application, GET * 3)
    assert written == OK * 3
    assert seen == ["unset"] * 3


def test_context_of_application_does_not_reach_loop(wire, run):
    async def application(scope, receive, send):
        variable.set("changed")
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        return variable.get()

    assert run(main) == "unset"


def test_context_of_server_reaches_application(wire, run):
    seen = []

    async def application(scope, receive, send):
        seen.append(variable.get())
        await answer(send)

    async def main():
        variable.set("server")
        service = Service(wire, application)
        variable.set("later")
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()

    run(main)
    assert seen == ["server"]


def test_reset_contextvars_hides_context_of_server(wire, run):
    seen = []

    async def application(scope, receive, send):
        seen.append(variable.get())
        await answer(send)

    async def main():
        variable.set("server")
        service = Service(wire, application, reset_contextvars=True)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()

    run(main)
    assert seen == ["unset"]


def test_context_is_kept_while_application_waits(wire, run):
    seen = []

    async def application(scope, receive, send):
        variable.set("own")
        await asyncio.sleep(0)
        await receive()
        seen.append(variable.get())
        await answer(send)
        seen.append(variable.get())

    exchange(wire, run, application)
    assert seen == ["own", "own"]


# Addresses


@pytest.mark.parametrize(
    ("extra", "client", "server"),
    [
        ({}, ("127.0.0.1", 50000), ("127.0.0.1", 8000)),
        ({"peername": ("::1", 5, 0, 0), "sockname": ("::1", 6, 0, 0)}, ("::1", 5), ("::1", 6)),
        ({"peername": "", "sockname": "/run/a.sock"}, None, ("/run/a.sock", None)),
        ({"peername": None, "sockname": None}, None, None),
    ],
    ids=["IPv4", "IPv6", "Unix", "unknown"],
)
def test_scope_has_addresses_of_transport(wire, run, extra, client, server):
    seen = []

    async def application(scope, receive, send):
        seen.append((scope["client"], scope["server"]))
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, _ = service.connect(**extra)
        protocol.data_received(GET)
        await iterations()

    run(main)
    assert seen == [(client, server)]


# The limit on concurrency


def test_concurrency_limit_refuses_and_warns(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)

    written, calls = exchange(wire, run, application, limit_concurrency=1)
    assert (written, calls) == (CROWDED, ["close"])
    assert log == [("WARNING", "Exceeded concurrency limit.", None)]


def test_concurrency_limit_counts_connections(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application, limit_concurrency=3)
        (first, its), _, (third, other) = service.connect(), None, (None, None)
        first.data_received(GET)
        await iterations()
        service.connect()
        third, other = service.connect()
        third.data_received(GET)
        await iterations()
        return its.written, other.written

    assert run(main) == (OK, CROWDED)


def test_concurrency_limit_counts_tasks(wire, run, log):
    async def main():
        gate = asyncio.Event()

        async def application(scope, receive, send):
            await answer(send)
            await gate.wait()

        service = Service(wire, application, limit_concurrency=2)
        protocol, transport = service.connect()
        for _ in range(3):
            protocol.data_received(GET)
            await iterations()
        gate.set()
        await service.idle()
        return transport.written

    assert run(main) == OK * 2 + CROWDED


# The queue of the limit on concurrency


class Turns:
    """An application whose calls begin in the order of `begun`, and each end when the test says so."""

    def __init__(self):
        self.begun = []
        self._ends = {}

    async def __call__(self, scope, receive, send):
        path = scope["path"]
        self.begun.append(path)
        ended = self._ends[path] = asyncio.Event()
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await ended.wait()
            return
        await ended.wait()
        await answer(send)

    async def end(self, path):
        self._ends[path].set()
        await iterations(6)


class Crowd:
    """The clients of a service of `Turns` or another application where one call may run, and `room` more may wait."""

    def __init__(self, wire, room=None, application=None, **options):
        self.turns = application or Turns()
        options = {"limit_concurrency": 1, "limit_queue": room, "metrics_bind": "127.0.0.1:0", **options}
        self.service = Service(wire, self.turns, **options)

    async def ask(self, path, *fields):
        """Send a request on a new connection."""
        protocol, transport = self.service.connect()
        protocol.data_received(b"\r\n".join([b"GET %b HTTP/1.1" % path.encode(), b"host: a", *fields, b"", b""]))
        await iterations()
        return protocol, transport

    def waiting(self):
        return self.service.state.page[layout.WAITING]

    def refused(self, reason="concurrency"):
        return self.service.state.page[layout.REFUSED + layout.REASONS.index(reason)]


UPGRADE = (
    b"connection: Upgrade",
    b"upgrade: websocket",
    b"sec-websocket-version: 13",
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n"


def test_queue_of_0_lets_no_request_wait(wire, run, log):
    async def main():
        crowd = Crowd(wire, 0)
        assert (await crowd.ask("/0"))[1].written == b""
        assert (await crowd.ask("/1"))[1].written == CROWDED
        await crowd.turns.end("/0")

    run(main)


def test_idle_connections_do_not_count_with_queue_of_0(wire, run, log):
    async def main():
        crowd = Crowd(wire, 0)
        crowd.service.connect()
        await crowd.ask("/")
        assert crowd.turns.begun == ["/"]
        await crowd.turns.end("/")

    run(main)


def test_requests_wait_for_their_turn_in_order(wire, run, log):
    async def main():
        crowd = Crowd(wire, 2)
        transports = [(await crowd.ask(f"/{number}"))[1] for number in range(4)]
        assert crowd.turns.begun == ["/0"]
        assert [transport.written for transport in transports] == [b"", b"", b"", CROWDED]
        assert (crowd.waiting(), crowd.refused()) == (2, 1)
        for number in range(3):
            await crowd.turns.end(f"/{number}")
        assert [transport.written for transport in transports] == [OK, OK, OK, CROWDED]
        assert (crowd.waiting(), crowd.refused()) == (0, 1)
        assert (await crowd.ask("/4"))[1].written == b""
        await crowd.turns.end("/4")

    run(main)
    assert log == [("WARNING", "Exceeded concurrency limit.", None)]


def test_new_request_does_not_overtake_those_that_wait(wire, run):
    async def main():
        crowd = Crowd(wire, 9)
        first, _ = await crowd.ask("/0")
        await crowd.ask("/1")
        crowd.turns._ends["/0"].set()
        first.data_received(GET)
        await iterations(6)
        assert crowd.turns.begun == ["/0", "/1"]
        await crowd.turns.end("/1")
        assert crowd.turns.begun == ["/0", "/1", "/"]
        await crowd.turns.end("/")

    run(main)


def test_idle_connections_take_no_turn_of_a_queue(wire, run):
    async def main():
        crowd = Crowd(wire, 1)
        for _ in range(5):
            crowd.service.connect()
        _, transport = await crowd.ask("/0")
        await crowd.turns.end("/0")
        return transport.written

    assert run(main) == OK


@pytest.mark.parametrize("kind", [(), UPGRADE], ids=["request", "WebSocket"])
def test_client_that_is_lost_leaves_the_queue(wire, run, kind):
    async def main():
        crowd = Crowd(wire, 1)
        await crowd.ask("/0")
        protocol, _ = await crowd.ask("/1", *kind)
        protocol.connection_lost(None)
        assert crowd.waiting() == 0
        await crowd.ask("/2")
        await crowd.turns.end("/0")
        await crowd.turns.end("/2")
        return crowd.turns.begun, crowd.refused()

    assert run(main) == (["/0", "/2"], 0)


@pytest.mark.parametrize("ticks", [True, False], ids=["before a tick", "before its turn"])
def test_client_that_ends_its_stream_leaves_the_queue(wire, run, ticks):
    async def main():
        crowd = Crowd(wire, 1)
        await crowd.ask("/0")
        protocol, transport = await crowd.ask("/1")
        protocol.eof_received()
        if ticks:
            crowd.service.tick()
            await iterations()
            assert transport.written == CROWDED
            assert crowd.waiting() == 0
        await crowd.turns.end("/0")
        assert crowd.turns.begun == ["/0"]
        return transport.written, transport.calls

    assert run(main) == (CROWDED, ["close"])


def test_request_that_waits_too_long_leaves_the_queue(wire, run):
    async def main():
        crowd = Crowd(wire, 1, timeout_request=2)
        await crowd.ask("/0")
        crowd.service.tick()
        crowd.service.tick()
        _, transport = await crowd.ask("/1")
        crowd.service.tick()
        await crowd.ask("/2")
        for _ in range(2):
            crowd.service.tick()
        await iterations()
        assert transport.written == CROWDED
        assert crowd.waiting() == 0
        await crowd.turns.end("/0")
        return crowd.turns.begun

    assert run(main) == ["/0"]


def test_request_refused_while_it_waits_is_not_called(wire, run):
    async def main():
        crowd = Crowd(wire, 1, timeout_body=1)
        await crowd.ask("/0")
        _, transport = await crowd.ask("/1", b"content-length: 9")
        crowd.service.tick()
        crowd.service.tick()
        await iterations()
        assert transport.written.startswith(b"HTTP/1.1 408")
        assert crowd.waiting() == 0
        await crowd.turns.end("/0")
        return crowd.turns.begun, transport.written.count(b"HTTP/1.1")

    assert run(main) == (["/0"], 1)


def test_calls_that_end_at_once_need_no_turn(wire, run):
    gate = asyncio.Event()

    async def application(scope, receive, send):
        if scope["path"] == "/0":
            await gate.wait()
        await answer(send)

    async def main():
        crowd = Crowd(wire, 9, application)
        transports = [(await crowd.ask(f"/{number}"))[1] for number in range(9)]
        gate.set()
        await crowd.service.idle()
        return [transport.written for transport in transports]

    assert run(main) == [OK] * 9


def test_failed_start_does_not_keep_others_from_their_turn(wire, run, log):
    error = Failure()
    starts = []

    def factory(loop, coroutine, **more):
        starts.append(coroutine)
        if len(starts) == 2 + before:
            coroutine.close()
            raise error
        return asyncio.Task(coroutine, loop=loop, **more)

    async def main():
        nonlocal before
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        crowd = Crowd(wire, 2)
        before = len(starts)
        await crowd.ask("/0")
        _, failed = await crowd.ask("/1")
        _, transport = await crowd.ask("/2")
        await crowd.turns.end("/0")
        await crowd.turns.end("/2")
        loop.set_task_factory(None)
        return failed.calls, transport.written

    before = 0
    assert run(main) == (["abort"], OK)
    assert log == [("ERROR", "Exception in a connection\n", error)]


def test_cancelled_call_gives_its_turn_away(wire, run):
    async def main():
        crowd = Crowd(wire, 1, cancel_on_disconnect="always")
        protocol, _ = await crowd.ask("/0")
        _, transport = await crowd.ask("/1")
        protocol.connection_lost(None)
        await iterations(6)
        await crowd.turns.end("/1")
        return transport.written

    assert run(main) == OK


def test_websocket_waits_for_its_turn_and_takes_one(wire, run):
    async def main():
        crowd = Crowd(wire, 2)
        await crowd.ask("/0")
        _, websocket = await crowd.ask("/1", *UPGRADE)
        _, transport = await crowd.ask("/2")
        assert websocket.written == b""
        await crowd.turns.end("/0")
        assert websocket.written.startswith(SWITCHED)
        assert crowd.turns.begun == ["/0", "/1"]
        await crowd.turns.end("/1")
        await crowd.turns.end("/2")
        return transport.written

    assert run(main) == OK


def test_waiting_exchanges_can_be_refused_all_at_once(wire, run):
    async def main():
        crowd = Crowd(wire, 2)
        _, first = await crowd.ask("/0")
        _, second = await crowd.ask("/1")
        _, third = await crowd.ask("/2", *UPGRADE)
        crowd.service.state.queue.refuse_waiting()
        await iterations()
        assert (crowd.waiting(), crowd.refused()) == (0, 2)
        await crowd.turns.end("/0")
        return first.written, second.written, third.written, crowd.turns.begun

    assert run(main) == (OK, CROWDED, CROWDED, ["/0"])


# The limit on WebSockets


def test_websockets_over_the_limit_are_refused(wire, run, log):
    async def main():
        crowd = Crowd(wire, limit_concurrency=None, limit_websockets=2)
        transports = [(await crowd.ask(f"/{number}", *UPGRADE))[1] for number in range(3)]
        assert [transport.written[:12] for transport in transports] == [SWITCHED[:12], SWITCHED[:12], CROWDED[:12]]
        assert transports[2].written == CROWDED
        assert crowd.refused("websockets") == 1
        await crowd.turns.end("/0")
        _, transport = await crowd.ask("/3", *UPGRADE)
        assert transport.written.startswith(SWITCHED)
        for path in ("/1", "/3"):
            await crowd.turns.end(path)

    run(main)
    assert [line for line in log if line[0] != "INFO"] == [("WARNING", "Exceeded WebSocket limit.", None)]


def test_websockets_with_a_limit_of_their_own_take_no_turn(wire, run):
    async def main():
        crowd = Crowd(wire, limit_websockets=2)
        for number in range(2):
            _, websocket = await crowd.ask(f"/{number}", *UPGRADE)
            assert websocket.written.startswith(SWITCHED)
        _, first = await crowd.ask("/2")
        _, second = await crowd.ask("/3")
        for path in ("/0", "/1", "/2"):
            await crowd.turns.end(path)
        return first.written, second.written

    assert run(main) == (OK, CROWDED)


# The deadline of a request


@pytest.mark.parametrize(("policy", "is_cancelled"), [("never", False), ("streaming", False), ("always", True)])
def test_application_is_told_that_its_request_takes_too_long(wire, run, log, policy, is_cancelled):
    seen = []

    async def application(scope, receive, send):
        await receive()
        try:
            seen.append(await receive())
            await asyncio.sleep(0)
            await answer(send)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main():
        service = Service(wire, application, timeout_request=1, cancel_on_disconnect=policy)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        await iterations()
        for _ in range(2):
            service.tick()
        await iterations()
        await service.idle()
        return transport.written

    assert run(main) == CROWDED
    assert seen == (["cancelled"] if is_cancelled else [{"type": "http.disconnect"}])
    late = "Request timed out. 127.0.0.1:50000: it took more than 1 s, and was answered with 503"
    assert log == [("WARNING", late, None)]


@pytest.mark.parametrize("is_begun", [False, True], ids=["not begun", "begun"])
def test_endless_response_is_cancelled_after_the_deadline(wire, run, log, is_begun):
    async def application(scope, receive, send):
        if not is_begun:
            await receive()
            await receive()
        await send(STREAM)
        while True:
            await send(PART)

    async def main():
        service = Service(wire, application, timeout_request=1, timeout_write=1)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        await iterations()
        for _ in range(2):
            service.tick()
        await service.idle()
        return transport.calls

    assert run(main) == (["abort"] if is_begun else ["close"])


@pytest.mark.parametrize("policy", ["streaming", "always"])
def test_endless_response_is_cancelled_after_a_refused_body(wire, run, log, policy):
    refused = asyncio.Event()

    async def application(scope, receive, send):
        await refused.wait()
        await send(STREAM)
        while True:
            await send(PART)

    async def main():
        service = Service(wire, application, timeout_write=1, cancel_on_disconnect=policy)
        protocol, transport = service.connect()
        protocol.data_received(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        await iterations()
        protocol.data_received(b"zz\r\n")
        await iterations()
        protocol.connection_lost(None)
        refused.set()
        await service.idle()
        return transport.written

    assert run(main).startswith(b"HTTP/1.1 400 Bad Request\r\n")


# Errors of the application


class Failure(Exception):
    pass


class BaseFailure(BaseException):
    pass


@pytest.mark.parametrize("pause", [False, True], ids=["at once", "after a pause"])
@pytest.mark.parametrize(
    "error",
    [Failure(), SystemExit(3), KeyboardInterrupt(), BaseFailure(), asyncio.CancelledError(), GeneratorExit()],
    ids=repr,
)
def test_error_before_head_is_answered_500(wire, run, log, error, pause):
    async def application(scope, receive, send):
        if pause:
            await asyncio.sleep(0)
        raise error

    written, calls = exchange(wire, run, application)
    assert (written, calls) == (FAILED, ["close"])
    assert log == [("ERROR", "Exception in ASGI application\n", error)]


@pytest.mark.parametrize("pause", [False, True], ids=["at once", "after a pause"])
def test_error_after_head_truncates_response(wire, run, log, pause):
    error = Failure()

    async def application(scope, receive, send):
        await send(STREAM)
        await send(PART)
        if pause:
            await asyncio.sleep(0)
        raise error

    written, calls = exchange(wire, run, application)
    assert written == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"
    assert calls == ["close"]
    assert log == [("ERROR", "Exception in ASGI application\n", error)]


def test_error_after_unsent_head_is_answered_500(wire, run, log):
    async def application(scope, receive, send):
        await send(START)
        raise Failure

    assert exchange(wire, run, application) == (FAILED, ["close"])


def test_error_after_complete_response_is_only_logged(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)
        raise Failure

    assert exchange(wire, run, application, GET * 2) == (OK * 2, [])
    assert [message for _, message, _ in log] == ["Exception in ASGI application\n"] * 2


def test_error_of_one_request_does_not_reach_another_connection(wire, run, log):
    async def application(scope, receive, send):
        if scope["path"] == "/exit":
            raise SystemExit
        await answer(send)

    async def main():
        service = Service(wire, application)
        first, _ = service.connect()
        second, transport = service.connect()
        first.data_received(b"GET /exit HTTP/1.1\r\nhost: a\r\n\r\n")
        second.data_received(GET)
        await iterations()
        return transport.written

    assert run(main) == OK


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.start", "status": 99},
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1\r\nb: 2")]},
        {"type": "http.response.body", "body": b"a"},
    ],
    ids=["status", "header", "order"],
)
def test_invalid_message_is_error_of_application(wire, run, log, message):
    async def application(scope, receive, send):
        await send(message)

    assert exchange(wire, run, application) == (FAILED, ["close"])
    assert [text for _, text, _ in log] == ["Exception in ASGI application\n"]


@pytest.mark.parametrize("data", [b"too long", b"x"])
def test_body_of_wrong_length_is_answered_500_if_head_is_unsent(wire, run, log, data):
    async def application(scope, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": data})

    assert exchange(wire, run, application) == (FAILED, ["close"])


def test_return_without_response_is_answered_500(wire, run, log):
    async def application(scope, receive, send):
        pass

    assert exchange(wire, run, application) == (FAILED, ["close"])
    assert log == [("ERROR", "ASGI callable returned without starting response.", None)]


def test_return_within_response_truncates_it(wire, run, log):
    async def application(scope, receive, send):
        await send(STREAM)
        await send(PART)

    written, calls = exchange(wire, run, application)
    assert written.endswith(b"\r\n\r\n1\r\na\r\n")
    assert calls == ["close"]
    assert log == [("ERROR", "ASGI callable returned without completing response.", None)]


def test_return_of_value_is_logged(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)
        return 5

    written, _ = exchange(wire, run, application)
    assert written == OK
    assert log == [("ERROR", "ASGI callable should return None, but returned '5'.", None)]


def test_return_of_value_without_response_is_answered_500(wire, run, log):
    async def application(scope, receive, send):
        return "text"

    assert exchange(wire, run, application) == (FAILED, ["close"])
    assert log == [("ERROR", "ASGI callable should return None, but returned 'text'.", None)]


def test_refused_request_is_logged_with_peer_and_reason(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)

    exchange(wire, run, application, b"GET / HTTP/1.1\r\n\r\n")
    assert len(log) == 1
    level, message, _ = log[0]
    assert level == "WARNING"
    assert message.startswith("Invalid HTTP request received.")
    assert "127.0.0.1:50000" in message
    assert "no Host" in message


def test_unsupported_upgrade_is_served_with_warning(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)

    written, _ = exchange(wire, run, application, GET[:-2] + b"connection: upgrade\r\nupgrade: foo\r\n\r\n")
    assert written == OK
    assert log == [("WARNING", "Unsupported upgrade request.", None)]


def test_warnings_about_clients_are_limited_per_second(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application)
        for _ in range(WARNINGS_A_SECOND + 5):
            protocol, _ = service.connect()
            protocol.data_received(b"bad\r\n\r\n")
        await iterations()
        counts = [len(log)]
        service.tick()
        counts.append(len(log))
        service.connect()[0].data_received(b"bad\r\n\r\n")
        service.tick()
        return [*counts, len(log)]

    assert run(main) == [WARNINGS_A_SECOND, WARNINGS_A_SECOND + 1, WARNINGS_A_SECOND + 2]
    assert log[WARNINGS_A_SECOND][:2] == ("WARNING", "5 more warnings about clients in the last second.")


def test_tick_ignores_foreign_connections(wire, run):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application, timeout_first_byte=1)
        _, transport = service.connect()
        service.state.connections.add(object())
        for _ in range(3):
            service.tick()
        return transport.calls

    assert run(main) == ["close"]


def test_tick_ignores_attribute_named_connection_of_foreign_protocol(wire, run):
    class Foreign:
        connection = object()

    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application, timeout_first_byte=1)
        _, transport = service.connect()
        service.state.connections.add(Foreign())
        for _ in range(3):
            service.tick()
        return transport.calls

    assert run(main) == ["close"]


# Disconnects


class ClientDisconnect(Exception):
    """An error with Starlette's name."""


def wrapped_plainly(error):
    raise error


def wrapped_by_cause(error):
    raise ClientDisconnect from error


def wrapped_by_context(error):
    try:
        raise error
    except OSError:
        raise ClientDisconnect  # noqa: B904


def wrapped_in_a_group(error):
    raise BaseExceptionGroup("group", [error, asyncio.CancelledError()])


def wrapped_deeply(error):
    try:
        wrapped_by_cause(error)
    except ClientDisconnect as inner:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [inner])]) from None


WRAPS = [wrapped_plainly, wrapped_by_cause, wrapped_by_context, wrapped_in_a_group, wrapped_deeply]


def run_after_disconnect(wire, run, behave, data=GET, **options):
    """Run `behave(send)` in an application after its client has disconnected; return the bytes written."""

    async def main():
        begun = asyncio.Event()
        left = asyncio.Event()

        async def application(scope, receive, send):
            begun.set()
            await left.wait()
            await behave(send)

        service = Service(wire, application, **options)
        protocol, transport = service.connect()
        protocol.data_received(data)
        await begun.wait()
        protocol.connection_lost(None)
        left.set()
        await service.idle()
        return transport.written

    return run(main)


@pytest.mark.parametrize("wrap", WRAPS)
def test_disconnect_raised_by_application_is_not_logged(wire, run, log, wrap):
    async def behave(send):
        try:
            await send(START)
        except ClientDisconnected as error:
            wrap(error)

    assert run_after_disconnect(wire, run, behave) == b""
    assert log == []


def test_other_error_after_disconnect_is_logged(wire, run, log):
    async def behave(send):
        raise Failure

    run_after_disconnect(wire, run, behave)
    assert [message for _, message, _ in log] == ["Exception in ASGI application\n"]


def test_group_with_another_error_is_logged(wire, run, log):
    async def behave(send):
        raise ExceptionGroup("group", [ClientDisconnected("left"), Failure()])

    run_after_disconnect(wire, run, behave)
    assert [message for _, message, _ in log] == ["Exception in ASGI application\n"]


def test_return_after_disconnect_is_not_logged(wire, run, log):
    async def behave(send):
        pass

    run_after_disconnect(wire, run, behave)
    assert log == []


class NamedDisconnect(Exception):
    """An error named like those that frameworks raise at a disconnect message."""


@pytest.mark.parametrize("started", [False, True], ids=["before the start", "within a response"])
@pytest.mark.parametrize("error", [None, NamedDisconnect(), ExceptionGroup("", [NamedDisconnect()])], ids=repr)
def test_application_that_ends_at_disconnect_message_is_not_logged(wire, run, log, error, started):
    async def application(scope, receive, send):
        if started:
            await send(STREAM)
            await send(PART)
        while (await receive())["type"] != "http.disconnect":
            pass
        if error is not None:
            raise error

    async def main():
        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        await iterations()
        transport.written = b""
        protocol.eof_received()
        await transport.closed.wait()
        return transport.written, transport.calls

    assert run(main) == (b"", ["close"])
    assert log == []


def test_other_error_after_disconnect_message_is_logged(wire, run, log):
    async def application(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        raise Failure

    async def main():
        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        protocol.eof_received()
        await transport.closed.wait()
        return transport.written

    assert run(main) == b""
    assert [message for _, message, _ in log] == ["Exception in ASGI application\n"]


def test_application_cancelled_by_server_is_not_logged(wire, run, log):
    async def application(scope, receive, send):
        await asyncio.Future()

    async def main():
        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        await iterations()
        for task in service.state.tasks:
            task.cancel()
        await transport.closed.wait()
        return transport.written

    assert run(main) == FAILED
    assert log == []


def test_disconnect_raised_while_client_is_connected_is_error(wire, run, log):
    async def application(scope, receive, send):
        raise ClientDisconnected("somebody else's")

    assert exchange(wire, run, application) == (FAILED, ["close"])
    assert [message for _, message, _ in log] == ["Exception in ASGI application\n"]


def is_cancelled_by_disconnect(wire, run, policy, streaming, half=False):
    """Return whether a disconnect cancels an application that waits for something else."""

    async def main():
        outcome = []
        gate = asyncio.Event()

        async def application(scope, receive, send):
            if streaming:
                await send(STREAM)
                await send(PART)
            try:
                await gate.wait()
            except asyncio.CancelledError:
                outcome.append("cancelled")
                raise

        service = Service(wire, application, cancel_on_disconnect=policy, send_after_disconnect="raise")
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        if half:
            assert protocol.eof_received()
            for _ in range(3):
                service.tick()
        else:
            protocol.connection_lost(None)
        await iterations()
        gate.set()
        await service.idle()
        return outcome == ["cancelled"]

    return run(main)


@pytest.mark.parametrize(
    ("policy", "streaming", "expected"),
    [
        ("never", True, False),
        ("never", False, False),
        ("streaming", True, True),
        ("streaming", False, False),
        ("always", True, True),
        ("always", False, True),
    ],
)
def test_policy_decides_cancellation_at_disconnect(wire, run, log, policy, streaming, expected):
    assert is_cancelled_by_disconnect(wire, run, policy, streaming) is expected
    assert [message for level, message, _ in log if "Exception" in message] == []


@pytest.mark.parametrize(
    ("policy", "streaming", "expected"),
    [("never", True, False), ("streaming", True, True), ("streaming", False, False)],
)
def test_policy_decides_cancellation_at_half_close(wire, run, log, policy, streaming, expected):
    assert is_cancelled_by_disconnect(wire, run, policy, streaming, half=True) is expected
    assert [message for level, message, _ in log if "Exception" in message] == []


def stream_past_disconnect(wire, run, half, **options):
    """Run an application that streams on after a disconnect; return what it did and how it ended."""

    async def main():
        done = []

        async def application(scope, receive, send):
            try:
                await send(STREAM)
                await send(PART)
                await left.wait()
                for _ in range(10):
                    await send(PART)
                    done.append("sent")
                if "endless" in options:
                    while True:
                        await send(PART)
                await send({"type": "http.response.body"})
                done.append((await receive())["type"])
            finally:
                done.append("finally")

        left = asyncio.Event()
        service = Service(wire, application, **{k: v for k, v in options.items() if k != "endless"})
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        if half:
            protocol.eof_received()
            for _ in range(3):
                service.tick()
        else:
            protocol.connection_lost(None)
        left.set()
        await service.idle()
        return done

    return run(main)


@pytest.mark.parametrize("half", [False, True], ids=["lost", "half-closed"])
@pytest.mark.parametrize("policy", ["never", "streaming"])
def test_send_after_disconnect_is_ignored(wire, run, log, policy, half):
    done = stream_past_disconnect(wire, run, half, cancel_on_disconnect=policy)
    assert done == ["sent"] * 10 + ["http.disconnect", "finally"]
    assert log == []


def test_endless_stream_is_cancelled_after_disconnect(wire, run, log):
    done = stream_past_disconnect(wire, run, False, endless=True, timeout_write=1)
    assert done == ["sent"] * 10 + ["finally"]
    assert log == []


def test_send_after_disconnect_lets_other_tasks_run(wire, run, log):
    async def main():
        turn = asyncio.Event()

        async def application(scope, receive, send):
            await send(STREAM)
            await receive()
            await receive()
            asyncio.get_running_loop().call_soon(turn.set)
            await send(PART)
            assert turn.is_set()
            await send({"type": "http.response.body"})

        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        protocol.connection_lost(None)
        await service.idle()

    run(main)
    assert log == []


def test_waiting_send_returns_at_disconnect(wire, run, log):
    async def main():
        done = []

        async def application(scope, receive, send):
            await gate.wait()
            await send(STREAM)
            await send(PART)
            done.append("went on")
            await send({"type": "http.response.body"})

        gate = asyncio.Event()
        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        protocol.pause_writing()
        gate.set()
        await iterations()
        assert done == []
        protocol.connection_lost(None)
        await service.idle()
        return done

    assert run(main) == ["went on"]
    assert log == []


def test_stream_that_receives_gets_disconnect_and_is_not_cancelled(wire, run, log):
    async def main():
        outcome = []

        async def application(scope, receive, send):
            await send(STREAM)
            await send(PART)
            await receive()
            outcome.append((await receive())["type"])

        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        protocol.connection_lost(None)
        await service.idle()
        return outcome

    assert run(main) == ["http.disconnect"]
    assert log == []


def test_disconnect_does_not_cancel_background_work(wire, run, log):
    async def main():
        gate = asyncio.Event()
        outcome = []

        async def application(scope, receive, send):
            await answer(send)
            await gate.wait()
            outcome.append("done")

        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        protocol.connection_lost(None)
        await iterations()
        gate.set()
        await service.idle()
        return outcome

    assert run(main) == ["done"]


@pytest.mark.parametrize("policy", ["streaming", "always"])
def test_disconnect_during_later_request_does_not_cancel_background_work(wire, run, log, policy):
    async def main():
        gate = asyncio.Event()
        outcome = []

        async def application(scope, receive, send):
            if scope["path"] == "/":
                await answer(send)
                await gate.wait()
                outcome.append("done")
            else:
                await send(STREAM)
                await send(PART)

        service = Service(wire, application, cancel_on_disconnect=policy)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        protocol.data_received(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        protocol.connection_lost(None)
        await iterations()
        gate.set()
        await service.idle()
        return outcome

    assert run(main) == ["done"]


def test_half_closed_client_is_answered(wire, run):
    async def main():
        gate = asyncio.Event()

        async def application(scope, receive, send):
            await gate.wait()
            await answer(send)

        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        assert protocol.eof_received()
        gate.set()
        await service.idle()
        await transport.closed.wait()
        return transport.written, transport.calls

    written, calls = run(main)
    assert written.startswith(b"HTTP/1.1 200 OK")
    assert calls == ["close"]


def test_lost_connection_is_forgotten(wire, run):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, _ = service.connect()
        before = len(service.state.connections)
        protocol.connection_lost(None)
        return before, len(service.state.connections)

    assert run(main) == (1, 0)


# Flow control and closing


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="the system does not tell")
def test_disconnect_behind_unread_bytes_is_noticed(wire, run):
    async def main():
        seen = []

        async def application(scope, receive, send):
            seen.append(await receive())
            seen.append(await receive())

        ours, theirs = socket.socketpair()
        with ours, theirs:
            service = Service(wire, application)
            protocol, transport = service.connect(socket=ours)
            protocol.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            protocol.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 3000)
            assert transport.calls == ["pause_reading"]
            while not seen:
                await asyncio.sleep(0)
            service.tick()
            assert len(seen) == 1
            theirs.close()
            service.tick()
            await service.idle()
        return [message["type"] for message in seen]

    assert run(main) == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("half", [True, False], ids=["half-closing", "closing only"])
def test_refused_client_that_still_sends_gets_answer(wire, run, log, half):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, transport = service.connect()
        transport.can_write_eof = lambda: half
        protocol.data_received(b"bad\r\n\r\n" + bytes(100))
        await iterations()
        return transport.written[:12], transport.calls

    # A transport without half-close stays open for a moment: closing it would destroy the answer.
    assert run(main) == (b"HTTP/1.1 400", ["write_eof"] if half else [])


def test_client_that_is_gone_at_write_eof_is_closed(wire, run, log):
    async def application(scope, receive, send):
        await answer(send)

    def write_eof():
        raise OSError(107, "Transport endpoint is not connected")

    async def main():
        service = Service(wire, application)
        protocol, transport = service.connect()
        neighbour, other = service.connect()
        transport.write_eof = write_eof
        protocol.data_received(b"bad\r\n\r\n" + bytes(100))
        neighbour.data_received(GET)
        await transport.closed.wait()
        return transport.calls, other.written

    assert run(main) == (["abort"], OK)
    assert [level for level, _, _ in log] == ["WARNING"]


def test_abort_aborts_transport(wire, run):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        protocol, transport = Service(wire, application).connect()
        protocol.abort()
        await transport.closed.wait()
        return transport.calls

    assert run(main) == ["abort"]


def test_unread_body_pauses_transport(wire, run):
    async def main():
        gate = asyncio.Event()

        async def application(scope, receive, send):
            await gate.wait()
            more = True
            while more:
                more = (await receive())["more_body"]
            await answer(send)

        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n")
        protocol.data_received(bytes(90000))
        paused = transport.calls.copy()
        gate.set()
        await iterations()
        resumed = transport.calls.copy()
        protocol.data_received(bytes(10000))
        await service.idle()
        return paused, resumed, transport.written

    assert run(main) == (["pause_reading"], ["pause_reading", "resume_reading"], OK)


def test_full_transport_pauses_application(wire, run):
    async def main():
        sent = []

        async def application(scope, receive, send):
            await send(STREAM)
            for number in range(3):
                await send(PART)
                sent.append(number)
                if number == 0:
                    protocol.pause_writing()
            await send({"type": "http.response.body"})

        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        before = sent.copy()
        protocol.resume_writing()
        await service.idle()
        return before, sent

    assert run(main) == ([0], [0, 1, 2])


@pytest.mark.parametrize("end", ["close", "abort", "finish_writing", "write"])
def test_connection_may_end_once_its_transport_has_room(wire, run, end):
    """asyncio's transport ended twice then, and the loop reported an error."""

    class Ending:
        """A connection that ends as soon as its transport has room."""

        peer_text = ""

        def pause_writing(self):
            pass

        def resume_writing(self):
            if end == "write":
                ours.shutdown(socket.SHUT_WR)
                transport.write(b"fails")
            else:
                getattr(protocol, end)()

        def end_input(self):
            protocol.close()

        def exchanges(self):
            return []

        def lose(self):
            lost.set()

    errors = []
    lost = asyncio.Event()
    protocol = transport = ours = None

    async def main():
        nonlocal protocol, transport, ours
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: errors.append(context))
        async with connected(Service(wire, answer)) as (client, ours, transport, protocol):
            protocol.connection = Ending()
            transport.set_write_buffer_limits(0)
            transport.write(bytes(8 << 20))
            with contextlib.suppress(ConnectionError):
                while await loop.sock_recv(client, 1 << 20):
                    pass
            client.close()
            await lost.wait()

    run(main)
    assert errors == []


def test_stream_ends_after_unsent_data(wire, run):
    async def main():
        loop = asyncio.get_running_loop()
        service = Service(wire, answer)
        async with connected(service) as (client, _, transport, protocol):
            transport.write(bytes(8 << 20))
            protocol.finish_writing()
            size = 0
            while data := await loop.sock_recv(client, 1 << 20):
                size += len(data)
            protocol.close()
            while service.state.connections:
                await asyncio.sleep(0)
            return size

    assert run(main) == 8 << 20


def test_reset_just_before_end_of_stream_is_no_error(wire, run):
    """asyncio's transport ended the stream after its last write, and the loop reported an error."""

    class Left(socket.socket):
        """A socket whose client resets the connection after the last write."""

        left = 8 << 20

        def send(self, data):
            size = super().send(data)
            self.left -= size
            if not self.left:
                transports.reset_at_close(client)
                client.close()
            return size

        def sendmsg(self, buffers):
            return self.send(b"".join(buffers))

    errors = []
    client = None

    async def main():
        nonlocal client
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        service = Service(wire, answer)
        async with connected(service, Left) as (client, ours, transport, protocol):
            if not transports.reports_reset(transport):
                pytest.skip("uvloop's transport does not call the socket")
            transport.write(bytes(ours.left))
            protocol.finish_writing()
            while ours.left:
                with contextlib.suppress(BlockingIOError):
                    client.recv(1 << 20)
                await asyncio.sleep(0)
            while service.state.connections:
                await asyncio.sleep(0)

    run(main)
    assert errors == []


def test_pipelined_requests_beyond_one_iteration_are_served_in_next(wire, run):
    async def application(scope, receive, send):
        await answer(send)

    written, _ = exchange(wire, run, application, GET * 100)
    assert written == OK * 100


def test_shutdown_closes_idle_connections(wire, run):
    async def application(scope, receive, send):
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, transport = service.connect()
        protocol.data_received(GET)
        await iterations()
        service.state.shared.draining = True
        protocol.shutdown()
        await transport.closed.wait()
        return transport.calls

    assert run(main) == ["close"]


def test_request_leaves_no_reference_cycle(wire, run):
    import gc

    async def application(scope, receive, send):
        await receive()
        await answer(send)

    async def main():
        service = Service(wire, application)
        protocol, _ = service.connect()
        protocol.data_received(GET)
        await iterations()
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                protocol.data_received(GET)
                await iterations()
            return gc.collect()
        finally:
            gc.enable()

    assert run(main) == 0
