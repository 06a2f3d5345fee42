"""`pronghorn.Server` inside another program: its loop, its signals and overridden hooks."""

import asyncio
import contextlib
import multiprocessing
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request

import pytest

import pronghorn
from pronghorn import loops
from pronghorn.lifespan.off import LifespanOff
from pronghorn.lifespan.on import LifespanOn
from pronghorn.server.protocol import HTTPProtocol
from tests.support.server import APPS, PATIENCE


def address(server):
    return server.servers[0].sockets[0].getsockname()


def fetch(server):
    host, port = address(server)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://{host}:{port}", timeout=10
    ) as answer:
        return answer.read()


def is_listening(place):
    with socket.socket() as sock:
        return sock.connect_ex(place) == 0


class App:
    """An application that records its lifespan messages."""

    def __init__(self, fails_at=None):
        self.life = []
        self.fails_at = fails_at

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while len(self.life) < 2:
                kind = (await receive())["type"]
                self.life.append(kind)
                await send({"type": f"{kind}.{'failed' if kind == self.fails_at else 'complete'}"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def app():
    return App()


@pytest.fixture
def run():
    """A function that runs a coroutine function in a loop, with a time limit."""

    def run(main):
        async def bounded():
            async with asyncio.timeout(PATIENCE):
                await main()

        asyncio.run(bounded())

    return run


async def cancel(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def make(app, server_class=pronghorn.Server, **parameters):
    return server_class(pronghorn.Config(app, **{"port": 0, "log_config": None, **parameters}))


def test_server_runs_within_block(run, app):
    async def main():
        async with make(app) as server:
            assert server.started
            assert await asyncio.to_thread(fetch, server) == b"ok"
            assert app.life == ["lifespan.startup"]
            place = address(server)
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]
        assert not is_listening(place)
        assert not server.server_state.connections
        assert not server.server_state.tasks

    run(main)


def test_empty_block_runs_lifespan(run, app):
    async def main():
        async with make(app):
            pass
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_one_block_may_have_several_servers(run, app):
    async def main():
        async with make(app, lifespan="off") as first, make(app, lifespan="off") as second:
            assert address(first) != address(second)
            for server in (first, second):
                assert await asyncio.to_thread(fetch, server) == b"ok"

    run(main)


def test_block_installs_no_signal_handlers(run, app):
    async def main():
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        async with make(app):
            assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    run(main)


def test_block_that_raises_stops_server(run, app):
    async def main():
        places = []
        with contextlib.suppress(LookupError):
            async with make(app) as server:
                places.append(address(server))
                raise LookupError
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]
        assert not is_listening(places[0])

    run(main)


def test_cancelled_block_stops_server(run, app):
    async def main():
        entered = asyncio.Event()

        async def block():
            async with make(app):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(block())
        await entered.wait()
        await cancel(task)
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_block_cancelled_on_entry_or_exit_leaves_nothing(run, app):
    """Cancel in each event-loop iteration in turn."""

    async def main():
        for turns in range(20):
            app.life.clear()
            before = asyncio.all_tasks()
            server = make(app)
            task = asyncio.create_task(enter(server))
            for _ in range(turns):
                await asyncio.sleep(0)
            await cancel(task)
            assert asyncio.all_tasks() == before
            assert not any(each.is_serving() for each in server.servers)
            assert not any(sock.fileno() > 0 for sock in server._sockets)

    run(main)


def test_should_exit_stops_server_before_block_ends(run, app):
    async def main():
        async with make(app) as server:
            place = address(server)
            server.should_exit = True
            while await asyncio.to_thread(is_listening, place):  # the connection attempt may wait for the server
                await asyncio.sleep(0.01)
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_error_in_hook_is_raised_by_block(run, app):
    async def notify():
        raise LookupError("hook")

    async def main():
        with pytest.raises(LookupError, match="hook"):
            async with make(app, callback_notify=notify, timeout_notify=0):
                pass
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


async def serve(server):
    await server.serve()


async def enter(server):
    async with server:
        pass


@pytest.mark.parametrize("start", [serve, enter])
def test_failed_start_raises(run, start):
    async def main():
        with pytest.raises(pronghorn.StartupError, match="Could not import module"):
            await start(make("missing_module:app"))
        with pytest.raises(pronghorn.StartupError, match="Application startup failed"):
            await start(make(App(fails_at="lifespan.startup")))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            app = App()
            with pytest.raises(pronghorn.StartupError, match="address already in use"):
                await start(make(app, port=taken.getsockname()[1]))
            assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_block_of_stopped_server_raises(run, app):
    async def main():
        server = make(app)
        server.should_exit = True
        with pytest.raises(pronghorn.StartupError, match="told to stop"):
            await enter(server)
        assert app.life in ([], ["lifespan.startup", "lifespan.shutdown"])

    run(main)


def test_run_exits_if_start_fails(caplog):
    with pytest.raises(SystemExit) as caught:
        make(App(fails_at="lifespan.startup")).run()
    assert caught.value.code == 3
    assert "Application startup failed. Exiting." in caplog.messages


@contextlib.contextmanager
def recording_handler(number):
    """Install a handler that only records the signal."""
    heard = []
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        yield heard
    finally:
        signal.signal(number, before)


@contextlib.asynccontextmanager
async def serving(*servers):
    """Run servers in tasks and await these at the end."""
    tasks = []
    for server in servers:
        tasks.append(asyncio.create_task(server.serve()))
        while not server.started:
            await asyncio.sleep(0)
    yield tasks
    await asyncio.gather(*tasks)


def test_serve_handles_signals(run, app):
    async def main():
        with recording_handler(signal.SIGTERM) as heard:
            server = make(app)
            async with serving(server):
                assert signal.getsignal(signal.SIGTERM) == server.handle_exit
                signal.raise_signal(signal.SIGTERM)
                assert server.should_exit
            assert heard == [signal.SIGTERM]

    run(main)


def test_serve_without_install_signals_ignores_signals(run, app):
    async def main():
        with recording_handler(signal.SIGTERM) as heard:
            server = make(app, install_signals=False)
            async with serving(server):
                signal.raise_signal(signal.SIGTERM)
                assert not server.should_exit
                server.should_exit = True
            assert heard == [signal.SIGTERM]

    run(main)


def test_signal_stops_all_servers_of_loop(run, app):
    async def main():
        with recording_handler(signal.SIGINT) as heard:
            servers = [make(app, lifespan="off") for _ in range(3)]
            async with serving(*servers):
                signal.raise_signal(signal.SIGINT)
            assert heard == [signal.SIGINT]
            assert all(server.should_exit and not server.force_exit for server in servers)

    run(main)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_servers_may_end_in_any_order(run, app, order):
    async def main():
        with recording_handler(signal.SIGTERM) as heard:
            handler = signal.getsignal(signal.SIGTERM)
            servers = [make(app, lifespan="off") for _ in range(3)]
            async with serving(*servers) as tasks:
                for number in order[:2]:
                    servers[number].should_exit = True
                    await tasks[number]
                assert signal.getsignal(signal.SIGTERM) == servers[order[2]].handle_exit
                signal.raise_signal(signal.SIGTERM)
            assert heard == [signal.SIGTERM]
            assert signal.getsignal(signal.SIGTERM) is handler

    run(main)


def test_startup_and_shutdown_may_be_called_directly(run, app):
    async def main():
        server = make(app)
        await server.startup()
        assert await asyncio.to_thread(fetch, server) == b"ok"
        server.should_exit = True
        await server.main_loop()
        await server.shutdown()
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


LIFE = ["lifespan.startup", "lifespan.shutdown"]


def test_shutdown_may_be_called_twice(run, app, caplog):
    async def main():
        server = make(app)
        await server.shutdown()  # before the server has started
        await server.startup()
        await server.shutdown()
        await server.shutdown()
        assert app.life == LIFE
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        server.should_exit = True
        await task
        await server.shutdown()

    caplog.set_level("INFO")
    run(main)
    assert caplog.messages.count("Shutting down") == 2


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("listed", [True, False])
def test_shutdown_works_if_program_has_closed_listeners(app, loop, listed):
    pytest.importorskip(loop)

    async def main():
        server = make(app)
        await server.startup()
        reader, writer = await asyncio.open_connection(*address(server))
        while not server.server_state.connections:
            await asyncio.sleep(0)
        for each in server.servers:
            each.close()
        if not listed:
            server.servers.clear()
        await server.shutdown()
        assert await reader.read() == b""
        writer.close()
        assert app.life == LIFE

    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_startup_after_shutdown_serves_again(loop):
    pytest.importorskip(loop)
    apps = [App(), App()]

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await apps.pop()(scope, receive, send)
        else:
            await App()(scope, receive, send)

    async def main():
        server = make(app)
        for _ in range(2):
            await server.startup()
            assert await asyncio.to_thread(fetch, server) == b"ok"
            place = address(server)
            await server.shutdown()
            assert not is_listening(place)
        assert not apps

    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))


def test_server_may_run_twice():
    seen = []

    class Recorded(pronghorn.Server):
        async def main_loop(self):
            seen.append((len(self.servers), await asyncio.to_thread(fetch, self), self.server_state.total_requests))

        async def shutdown(self, sockets=None):
            await super().shutdown(sockets)
            seen.append(list(app.life))
            app.life.clear()

    app = App()
    server = make(app, Recorded)
    server.run()
    server.run()
    assert seen == [(1, b"ok", 1), LIFE] * 2


def test_signal_is_raised_again_once(run, app):
    async def main():
        server = make(app)
        with recording_handler(signal.SIGTERM) as heard:
            async with serving(server):
                signal.raise_signal(signal.SIGTERM)
            server.should_exit = False
            async with serving(server):
                server.should_exit = True
            assert heard == [signal.SIGTERM]

    run(main)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_server_runs_in_multiprocessing_process(method):
    server = make("asgi:app", host="127.0.0.1", app_dir=str(APPS), log_config=None)
    assert pickle.loads(pickle.dumps(server)).config.app == "asgi:app"
    sock = server.config.bind_socket()
    sock.listen()  # a client can connect before the process runs
    process = multiprocessing.get_context(method).Process(target=server.run, args=([sock],))
    process.start()
    try:
        place = sock.getsockname()
        sock.close()
        with urllib.request.urlopen(f"http://{place[0]}:{place[1]}/", timeout=PATIENCE) as answer:
            assert answer.status == 200
        process.terminate()
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGTERM
    finally:
        process.kill()
        process.join(PATIENCE)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_failed_start_raises_system_exit(loop, caplog):
    pytest.importorskip(loop)
    caplog.set_level("ERROR", "pronghorn.error")
    line = "Application startup failed. Exiting."
    with pytest.raises(SystemExit) as caught:
        make(App(fails_at="lifespan.startup"), loop=loop).run()
    assert isinstance(caught.value, pronghorn.StartupError)
    assert (caught.value.code, str(caught.value), caplog.messages.count(line)) == (3, line, 1)

    async def main():
        with pytest.raises(SystemExit) as caught:
            await make(App(fails_at="lifespan.startup")).serve()
        assert caught.value.code == 3

    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))
    with pytest.raises(SystemExit, match="Could not import module"):
        make(app, loop="missing:loop").run()
    assert len(caplog.messages) == len({*caplog.messages}) + 1


def test_program_with_failed_server_ends_with_3():
    text = "import asyncio, pronghorn; asyncio.run(pronghorn.Server(pronghorn.Config('missing:app')).serve())"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr.startswith('ERROR:    Error loading ASGI app. Could not import module "missing".')
    assert len(done.stderr.splitlines()) == 1


def test_block_with_failed_start_raises_no_system_exit(run):
    async def main():
        with pytest.raises(pronghorn.StartupError) as caught:
            await enter(make("missing:app"))
        assert not isinstance(caught.value, SystemExit)

    run(main)


def test_request_limit_may_be_set_later(run, app):
    async def main():
        server = make(app)
        server.config.limit_max_requests = 1
        async with serving(server):
            await asyncio.to_thread(fetch, server)

    run(main)


def test_default_headers_are_set_by_startup(run, app):
    async def main():
        server = make(app, headers=[("X-A", "1")])
        assert server.server_state.default_headers == []
        async with server:
            (name, _), *others = server.server_state.default_headers
            assert (name, others) == (b"date", [(b"server", b"pronghorn"), (b"x-a", b"1")])

    run(main)


def test_attributes_made_by_load_may_be_replaced(run, app, certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    schemes = []

    async def other(scope, receive, send):
        schemes.append(scope["scheme"])
        await app(scope, receive, send)

    class Lifespan(LifespanOn):
        async def startup(self):
            self.state["made"] = True
            await super().startup()

    async def main():
        server = make(app)
        config = server.config
        config.load()
        config.ssl, config.loaded_app, config.ws_protocol_class = context, other, None
        config.encoded_headers, config.lifespan_class = [(b"x-a", b"1")], Lifespan
        trusted = ssl.create_default_context(cafile=certificates.authority)
        async with server:
            assert server.lifespan.state == {"made": True}
            reader, writer = await asyncio.open_connection(*address(server), ssl=trusted, server_hostname="localhost")
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            assert b"\r\nx-a: 1\r\n" in answer
            assert b"server:" not in answer
            assert schemes == ["https"]

    run(main)


def test_lifespan_may_be_run_directly(run, app, caplog):
    caplog.set_level("ERROR", "pronghorn.error")

    async def main():
        config = make(app).config
        config.load()
        lifespan = LifespanOn(config)
        await lifespan.startup()
        await lifespan.shutdown()
        assert (app.life, lifespan.should_exit) == (LIFE, False)
        config.loaded_app = App(fails_at="lifespan.startup")
        failing = LifespanOn(config)
        await failing.startup()
        assert (failing.should_exit, failing.startup_failed, failing.shutdown_failed) == (True, True, False)
        assert caplog.messages == ["Application startup failed. Exiting."]
        idle = LifespanOff(config)
        await idle.startup()
        await idle.shutdown()
        assert not idle.should_exit

    run(main)


def test_subclass_of_our_protocol_is_served(run, app):
    made = []

    class Counted(HTTPProtocol):
        def connection_made(self, transport):
            made.append(self)
            super().connection_made(transport)

    async def main():
        async with make(app, http=Counted) as server:
            assert await asyncio.to_thread(fetch, server) == b"ok"
        assert len(made) == 1

    run(main)


@pytest.mark.parametrize("http", ["h11_impl:H11Protocol", "httptools_impl:HttpToolsProtocol"])
def test_protocol_of_uvicorn_is_served(run, app, http):
    pytest.importorskip("uvicorn")
    pytest.importorskip(http.partition("_")[0])

    async def main():
        server = make(app, http=f"uvicorn.protocols.http.{http}", headers=[("x-a", "1")])
        async with server:
            reader, writer = await asyncio.open_connection(*address(server))
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            assert b"\r\nserver: pronghorn\r\nx-a: 1\r\n" in answer
            assert answer.endswith(b"\r\n\r\nok")
            assert server.server_state.total_requests == 1

    run(main)


def test_startup_accepts_lifespan_made_before(run, app):
    async def main():
        server = make(app)
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        await server.shutdown()
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


class Hooked(pronghorn.Server):
    """A server with every hook that uvicorn's users override, including the deprecated one."""

    def __init__(self, config):
        super().__init__(config)
        self.calls = []

    def install_signal_handlers(self):
        self.calls.append("install_signal_handlers")

    @contextlib.contextmanager
    def capture_signals(self):
        self.calls.append("capture_signals")
        yield

    async def startup(self, sockets=None):
        self.calls.append("startup")
        await super().startup(sockets=sockets)

    async def main_loop(self):
        self.calls.append("main_loop")
        await super().main_loop()

    async def on_tick(self, counter):
        self.calls.append(f"on_tick {counter}")
        await super().on_tick(counter)
        return counter == 1

    async def shutdown(self, sockets=None):
        self.calls.append("shutdown")
        await super().shutdown(sockets=sockets)


def test_hooks_are_called_in_order(run, app):
    async def main():
        server = make(app, Hooked)
        await server.serve()
        assert server.calls == ["capture_signals", "startup", "main_loop", "on_tick 0", "on_tick 1", "shutdown"]

    run(main)


def test_handle_exit_may_be_overridden(run, app):
    class Careful(pronghorn.Server):
        heard = None

        def handle_exit(self, sig, frame):
            self.heard = sig
            super().handle_exit(sig, frame)

    async def main():
        with recording_handler(signal.SIGTERM):
            server = make(app, Careful)
            async with serving(server):
                signal.raise_signal(signal.SIGTERM)
            assert server.heard == signal.SIGTERM

    run(main)
