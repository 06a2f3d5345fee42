"""`pronghorn.Server` inside of another program: in its loop, with its signals, and with hooks of its own."""

import asyncio
import contextlib
import signal
import socket
import urllib.request

import pytest
from served import PATIENCE

import pronghorn


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
    """An application that remembers its life."""

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
    """Runs a coroutine function in a loop, for a while at most."""

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


def test_a_block_is_served(run, app):
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


def test_an_empty_block(run, app):
    async def main():
        async with make(app):
            pass
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_several_servers_of_one_block(run, app):
    async def main():
        async with make(app, lifespan="off") as first, make(app, lifespan="off") as second:
            assert address(first) != address(second)
            for server in (first, second):
                assert await asyncio.to_thread(fetch, server) == b"ok"

    run(main)


def test_a_block_leaves_signals_alone(run, app):
    async def main():
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        async with make(app):
            assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    run(main)


def test_a_block_that_raises_ends_its_server(run, app):
    async def main():
        places = []
        with contextlib.suppress(LookupError):
            async with make(app) as server:
                places.append(address(server))
                raise LookupError
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]
        assert not is_listening(places[0])

    run(main)


def test_a_block_that_is_cancelled_ends_its_server(run, app):
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


def test_a_block_that_is_cancelled_on_its_way_in_or_out(run, app):
    """Nothing is left behind, at whichever turn of the loop it is."""

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


def test_should_exit_ends_the_server_before_its_block(run, app):
    async def main():
        async with make(app) as server:
            place = address(server)
            server.should_exit = True
            while is_listening(place):
                await asyncio.sleep(0.01)
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_an_error_of_a_hook_comes_out_of_the_block(run, app):
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
def test_a_start_that_fails_raises(run, start):
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


def test_a_block_of_a_server_that_was_told_to_stop(run, app):
    async def main():
        server = make(app)
        server.should_exit = True
        with pytest.raises(pronghorn.StartupError, match="told to stop"):
            await enter(server)
        assert app.life in ([], ["lifespan.startup", "lifespan.shutdown"])

    run(main)


def test_run_exits_where_the_start_fails(caplog):
    with pytest.raises(SystemExit) as caught:
        make(App(fails_at="lifespan.startup")).run()
    assert caught.value.code == 3
    assert "Application startup failed. Exiting." in caplog.messages


@contextlib.contextmanager
def recorded(number):
    """A handler for the signal that only notes it."""
    heard = []
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        yield heard
    finally:
        signal.signal(number, before)


@contextlib.asynccontextmanager
async def serving(*servers):
    """Servers in tasks, which are awaited at the end."""
    tasks = []
    for server in servers:
        tasks.append(asyncio.create_task(server.serve()))
        while not server.started:
            await asyncio.sleep(0)
    yield tasks
    await asyncio.gather(*tasks)


def test_serving_handles_signals(run, app):
    async def main():
        with recorded(signal.SIGTERM) as heard:
            server = make(app)
            async with serving(server):
                assert signal.getsignal(signal.SIGTERM) == server.handle_exit
                signal.raise_signal(signal.SIGTERM)
                assert server.should_exit
            assert heard == [signal.SIGTERM]

    run(main)


def test_serving_without_signals(run, app):
    async def main():
        with recorded(signal.SIGTERM) as heard:
            server = make(app, install_signals=False)
            async with serving(server):
                signal.raise_signal(signal.SIGTERM)
                assert not server.should_exit
                server.should_exit = True
            assert heard == [signal.SIGTERM]

    run(main)


def test_a_signal_ends_all_servers_of_a_loop(run, app):
    async def main():
        with recorded(signal.SIGINT) as heard:
            servers = [make(app, lifespan="off") for _ in range(3)]
            async with serving(*servers):
                signal.raise_signal(signal.SIGINT)
            assert heard == [signal.SIGINT]
            assert all(server.should_exit and not server.force_exit for server in servers)

    run(main)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_servers_may_end_in_any_order(run, app, order):
    async def main():
        with recorded(signal.SIGTERM) as heard:
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


def test_startup_and_shutdown_by_hand(run, app):
    async def main():
        server = make(app)
        await server.startup()
        assert await asyncio.to_thread(fetch, server) == b"ok"
        server.should_exit = True
        await server.main_loop()
        await server.shutdown()
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_startup_with_a_lifespan_made_by_hand(run, app):
    async def main():
        server = make(app)
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        await server.shutdown()
        assert app.life == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


class Hooked(pronghorn.Server):
    """A server with every hook that uvicorn's users override, the one of old too."""

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


def test_hooks(run, app):
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
        with recorded(signal.SIGTERM):
            server = make(app, Careful)
            async with serving(server):
                signal.raise_signal(signal.SIGTERM)
            assert server.heard == signal.SIGTERM

    run(main)
