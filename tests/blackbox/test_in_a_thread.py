"""`pronghorn.Server` driven by other code: in a thread, in a running loop, several at once."""

import asyncio
import contextlib
import urllib.request

import pytest

import pronghorn
from tests.support.server import thread


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def fetch(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return answer.read()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_should_exit_stops_server_in_thread(loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with thread(app, loop=loop) as server:
        assert server.started
        assert fetch(server.url) == b"ok"
        assert server.server_state.total_requests == 1
    assert not server.server_state.connections
    assert not server.server_state.tasks


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_task_factory_may_take_only_coroutine(loop):
    pytest.importorskip(loop)
    made = []

    def make_task(loop, coroutine):
        made.append(coroutine.__name__)
        return asyncio.Task(coroutine, loop=loop)

    async def tracing(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            asyncio.get_running_loop().set_task_factory(make_task)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            asyncio.get_running_loop().set_task_factory(None)  # uvloop could not be closed with it
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    with thread(tracing, loop=loop) as server:
        assert fetch(server.url) == fetch(server.url) == b"ok"
        assert made.count("Call") == 2
    assert not server.lifespan.failed


def test_two_threads_may_run_two_servers():
    with thread(app) as first, thread(app) as second:
        assert first.port != second.port
        assert fetch(first.url) == fetch(second.url) == b"ok"


def test_one_loop_may_run_several_servers():
    async def main():
        servers = [pronghorn.Server(pronghorn.Config(app, port=0, log_config=None)) for _ in range(3)]
        tasks = [asyncio.create_task(server.serve()) for server in servers]
        while not all(server.started for server in servers):
            await asyncio.sleep(0)
        for server in servers:
            port = server.servers[0].sockets[0].getsockname()[1]
            assert await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}") == b"ok"
            server.should_exit = True
        await asyncio.wait_for(asyncio.gather(*tasks), 10)

    asyncio.run(main())


def test_server_can_be_cancelled():
    async def main():
        server = pronghorn.Server(pronghorn.Config(app, port=0, log_config=None))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(main())


def test_given_sockets_are_served(form):
    config = pronghorn.Config(app, port=0, log_config=None, http="h11" if form == "interpreted" else "auto")
    sock = config.bind_socket()

    async def main():
        server = pronghorn.Server(config)
        task = asyncio.create_task(server.serve([sock]))
        while not server.started:
            await asyncio.sleep(0)
        assert await asyncio.to_thread(fetch, f"http://127.0.0.1:{sock.getsockname()[1]}") == b"ok"
        server.should_exit = True
        await asyncio.wait_for(task, 10)

    asyncio.run(main())
