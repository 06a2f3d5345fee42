"""`receive()` and `send()` can be used like any coroutine, on asyncio and on uvloop."""

import asyncio
import collections.abc
import gc
import inspect
import sys
import threading

import anyio
import pytest

from pronghorn.errors import ClientDisconnected
from tests.support.rig import CONTINUE, GET, OK, WAITING, Rig, drive, post

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok"}
PART = {"type": "http.response.body", "body": b"a", "more_body": True}
DISCONNECT = {"type": "http.disconnect"}


def asyncio_loop():
    return asyncio.SelectorEventLoop()


def uvloop_loop():
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture(params=[asyncio_loop, uvloop_loop], ids=["asyncio", "uvloop"])
def run(request, wire):
    """Runs `scenario(rig)` in a new loop with a connection that uses it."""

    def run_in_loop(scenario):
        async def main():
            loop = asyncio.get_running_loop()
            rig = Rig(wire, call_soon=loop.call_soon, create_future=loop.create_future)
            try:
                return await asyncio.wait_for(scenario(rig), 10)
            finally:
                rig.connection.lose()

        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main())

    return run_in_loop


async def turns(count=3):
    """Run everything that is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def as_awaited(coroutine):
    return await coroutine


async def as_task(coroutine):
    return await asyncio.create_task(coroutine)


async def as_future(coroutine):
    return await asyncio.ensure_future(coroutine)


async def as_gathered(coroutine):
    return (await asyncio.gather(coroutine))[0]


async def as_waited_for(coroutine):
    return await asyncio.wait_for(coroutine, 5)


async def as_shielded(coroutine):
    return await asyncio.shield(coroutine)


async def as_started_by_anyio(coroutine):
    results = []

    async def call():
        results.append(await coroutine)

    async with anyio.create_task_group() as group:
        group.start_soon(call)
    return results[0]


async def as_task_of_a_group(coroutine):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine)
    return task.result()


async def from_a_thread(coroutine):
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(coroutine, loop).result(5))


WAYS = [
    as_awaited,
    as_task,
    as_future,
    as_gathered,
    as_waited_for,
    as_shielded,
    as_started_by_anyio,
    as_task_of_a_group,
    from_a_thread,
]


@pytest.mark.parametrize("way", WAYS)
def test_receive_returns_a_body_that_has_arrived(run, way):
    async def scenario(rig):
        rig.receive(post(2) + b"ok")
        return await way(rig.request.receive())

    assert run(scenario) == {"type": "http.request", "body": b"ok", "more_body": False}


@pytest.mark.parametrize("way", WAYS)
def test_receive_waits_for_a_body_that_arrives_later(run, way):
    async def scenario(rig):
        rig.receive(post(2))
        pending = asyncio.ensure_future(way(rig.request.receive()))
        while not rig.request.is_waiting():
            await asyncio.sleep(0)
        rig.receive(b"ok")
        return await pending

    assert run(scenario) == {"type": "http.request", "body": b"ok", "more_body": False}


@pytest.mark.parametrize("way", WAYS)
def test_send_writes_the_response(run, way):
    async def scenario(rig):
        rig.receive(GET)
        results = [await way(rig.request.send(START)), await way(rig.request.send(BODY))]
        await turns()
        return results, rig.written

    assert run(scenario) == ([None, None], OK)


@pytest.mark.parametrize("way", WAYS)
def test_send_waits_for_a_slow_client(run, way):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.send({**START, "headers": []})
        rig.connection.pause_writing()
        pending = asyncio.ensure_future(way(rig.request.send(PART)))
        while not rig.writes:
            await asyncio.sleep(0)
        await turns()
        waited = not pending.done()
        rig.connection.resume_writing()
        return waited, await pending

    assert run(scenario) == (True, None)


@pytest.mark.parametrize("way", WAYS)
def test_errors_of_send_reach_the_caller(run, way):
    async def scenario(rig):
        rig.receive(GET)
        await way(rig.request.send(BODY))

    with pytest.raises((RuntimeError, BaseExceptionGroup)):
        run(scenario)


@pytest.mark.parametrize("way", [as_awaited, as_task, as_future, as_gathered, as_waited_for, from_a_thread])
def test_lost_client_reaches_a_waiting_send(run, way):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.send({**START, "headers": []})
        rig.connection.pause_writing()
        pending = asyncio.ensure_future(way(rig.request.send(PART)))
        while not rig.writes:
            await asyncio.sleep(0)
        await turns()
        rig.connection.lose()
        await pending

    with pytest.raises(ClientDisconnected):
        run(scenario)


# Cancellation


def test_receive_that_times_out_loses_no_message(run):
    async def scenario(rig):
        rig.receive(post(2))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rig.request.receive(), 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await rig.request.receive()
        rig.receive(b"ok")
        return await rig.request.receive()

    assert run(scenario) == {"type": "http.request", "body": b"ok", "more_body": False}


def test_receive_cancelled_as_its_message_arrives_loses_none(run):
    async def scenario(rig):
        rig.receive(post(2))
        task = asyncio.ensure_future(rig.request.receive())
        await turns()
        rig.receive(b"ok")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await rig.request.receive()

    assert run(scenario) == {"type": "http.request", "body": b"ok", "more_body": False}


def test_cancelled_receive_leaves_its_message_to_the_next(run):
    async def scenario(rig):
        rig.receive(post(2))
        cancelled = asyncio.ensure_future(rig.request.receive())
        waiting = asyncio.ensure_future(rig.request.receive())
        await turns()
        rig.receive(b"ok")
        cancelled.cancel()
        return await waiting

    assert run(scenario) == {"type": "http.request", "body": b"ok", "more_body": False}


def test_cancelled_receive_cancels_its_task(run):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.receive()
        task = asyncio.ensure_future(rig.request.receive())
        await turns()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run(scenario)


def test_steps_have_the_names_of_their_functions(run):
    async def scenario(rig):
        rig.receive(GET)
        steps = [rig.request.receive(), rig.request.send({"type": "http.response.start", "status": 200})]
        found = [(step.__name__, step.__qualname__, hasattr(step, "cr_frame")) for step in steps]
        for step in steps:
            step.close()
        return found

    assert run(scenario) == [("receive", "receive", False), ("send", "send", False)]


def test_task_cancelled_before_its_first_step_loses_no_message(run):
    async def scenario(rig):
        rig.receive(post(2) + b"ok")
        task = asyncio.create_task(rig.request.receive())
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), await rig.request.receive()

    assert run(scenario) == (True, {"type": "http.request", "body": b"ok", "more_body": False})


def test_disconnect_is_received_after_cancelled_receives(run):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.receive()
        for _ in range(100):
            task = asyncio.ensure_future(rig.request.receive())
            await asyncio.sleep(0)
            task.cancel()
        pending = asyncio.ensure_future(rig.request.receive())
        await turns()
        rig.connection.lose()
        return await pending

    assert run(scenario) == DISCONNECT


def test_cancelled_send_leaves_the_others_waiting(run):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.send({**START, "headers": []})
        rig.connection.pause_writing()
        tasks = [asyncio.ensure_future(rig.request.send(PART)) for _ in range(3)]
        await turns()
        tasks[1].cancel()
        await turns()
        rig.connection.resume_writing()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [type(result) for result in results]

    assert run(scenario) == [type(None), asyncio.CancelledError, type(None)]


def test_cancelled_disconnect_listener_does_not_disturb_the_response(run):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.receive()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.request.receive)
            await turns()
            await rig.request.send(START)
            group.cancel_scope.cancel()
        await rig.request.send(BODY)
        return await rig.request.receive()

    assert run(scenario) == DISCONNECT


# Concurrent calls


def test_two_concurrent_receives_get_one_message_each(run):
    async def scenario(rig):
        rig.receive(post(2))
        both = asyncio.gather(rig.request.receive(), rig.request.receive())
        await turns()
        rig.receive(b"o")
        await turns()
        rig.receive(b"k")
        return sorted((await both), key=lambda message: message["more_body"])

    assert run(scenario) == [
        {"type": "http.request", "body": b"k", "more_body": False},
        {"type": "http.request", "body": b"o", "more_body": True},
    ]


def test_every_waiting_receive_gets_the_disconnect(run):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.receive()
        all_of_them = asyncio.gather(*(rig.request.receive() for _ in range(3)))
        await turns()
        rig.connection.lose()
        return await all_of_them

    assert run(scenario) == [DISCONNECT] * 3


def test_concurrent_sends_keep_their_order(run):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.send({**START, "headers": []})
        rig.connection.pause_writing()
        messages = [{**PART, "body": b"%d" % number} for number in range(5)]
        tasks = [asyncio.create_task(rig.request.send(message)) for message in messages]
        await turns()
        rig.connection.resume_writing()
        await asyncio.gather(*tasks)
        await rig.request.send({"type": "http.response.body"})
        await turns()
        return rig.written.partition(b"\r\n\r\n")[2]

    assert run(scenario) == b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n1\r\n4\r\n0\r\n\r\n"


def test_sends_from_many_threads_are_all_written(run):
    async def scenario(rig):
        rig.receive(GET)
        await rig.request.send({**START, "headers": [(b"content-length", b"20")]})
        loop = asyncio.get_running_loop()

        def call():
            asyncio.run_coroutine_threadsafe(rig.request.send(PART), loop).result(5)

        threads = [threading.Thread(target=call) for _ in range(20)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
        await rig.request.send({"type": "http.response.body"})
        await turns()
        return rig.written.partition(b"\r\n\r\n")[2]

    assert run(scenario) == b"a" * 20


# Type


def test_awaitables_pass_every_check_for_coroutines(wire):
    rig = Rig(wire)
    rig.receive(GET)
    for step in (rig.request.receive(), rig.request.send(START)):
        assert isinstance(step, collections.abc.Coroutine)
        assert isinstance(step, collections.abc.Awaitable)
        assert asyncio.iscoroutine(step)
        assert inspect.isawaitable(step)
        assert asyncio.isfuture(step) is False


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is of 3.12")
def test_receive_and_send_are_recognised_as_coroutine_functions(wire):
    rig = Rig(wire)
    rig.receive(GET)
    for function in (rig.request.receive, rig.request.send):
        assert inspect.iscoroutinefunction(function)


@pytest.mark.skipif(
    not (3, 12) <= sys.version_info < (3, 14), reason="deprecated in 3.14; inspect.markcoroutinefunction is of 3.12"
)
def test_asyncio_recognises_receive_and_send_as_coroutine_functions(wire):
    rig = Rig(wire)
    rig.receive(GET)
    for function in (rig.request.receive, rig.request.send):
        assert asyncio.iscoroutinefunction(function)


# Driven by hand


def test_second_await_raises_runtime_error(wire):
    rig = Rig(wire)
    rig.receive(GET)
    step = rig.request.receive()
    drive(step)
    with pytest.raises(RuntimeError):
        drive(step)


def test_send_awaited_twice_sends_once(wire):
    rig = Rig(wire)
    rig.receive(GET)
    step = rig.request.send(START)
    drive(step)
    with pytest.raises(RuntimeError):
        drive(step)
    drive(rig.request.send(BODY))
    assert rig.take() == OK


def test_await_after_an_error_raises_runtime_error(wire):
    rig = Rig(wire)
    rig.receive(GET)
    step = rig.request.send({"type": "wrong"})
    with pytest.raises(RuntimeError, match="wrong"):
        drive(step)
    with pytest.raises(RuntimeError, match="already awaited"):
        drive(step)


def test_send_closed_before_its_start_sends_nothing(wire):
    rig = Rig(wire)
    rig.receive(GET)
    step = rig.request.send(START)
    step.close()
    step.close()
    with pytest.raises(RuntimeError):
        drive(step)
    assert not rig.request.is_started()


def test_closing_a_waiting_receive_loses_no_message(wire):
    rig = Rig(wire)
    rig.receive(post(2))
    step = rig.request.receive()
    assert drive(step) is WAITING
    step.close()
    step.close()
    rig.receive(b"ok")
    with pytest.raises(RuntimeError):
        drive(step)
    assert drive(rig.request.receive())["body"] == b"ok"


def test_closing_a_finished_awaitable_has_no_effect(wire):
    rig = Rig(wire)
    rig.receive(GET)
    step = rig.request.receive()
    drive(step)
    step.close()


class Thrown(Exception):
    pass


def test_exception_thrown_before_the_start_prevents_the_send(wire):
    rig = Rig(wire)
    rig.receive(GET)
    step = rig.request.send(START)
    with pytest.raises(Thrown):
        step.throw(Thrown())
    with pytest.raises(RuntimeError):
        drive(step)
    assert not rig.request.is_started()


def test_exception_thrown_into_a_waiting_receive_loses_no_message(wire):
    rig = Rig(wire)
    rig.receive(post(2))
    step = rig.request.receive()
    assert drive(step) is WAITING
    with pytest.raises(Thrown):
        step.throw(Thrown())
    rig.receive(b"ok")
    assert drive(rig.request.receive())["body"] == b"ok"


@pytest.mark.parametrize("arguments", [(Thrown,), (Thrown, Thrown("text")), (Thrown, None, None)])
def test_throw_accepts_type_value_and_traceback(wire, arguments):
    rig = Rig(wire)
    rig.receive(post(2))
    step = rig.request.receive()
    assert drive(step) is WAITING
    with pytest.raises(Thrown):
        step.throw(*arguments)


def test_throw_into_a_finished_awaitable_raises(wire):
    rig = Rig(wire)
    rig.receive(GET)
    step = rig.request.receive()
    drive(step)
    with pytest.raises((Thrown, RuntimeError)):
        step.throw(Thrown())


@pytest.mark.filterwarnings("error")
def test_send_that_is_never_awaited_does_nothing(wire):
    rig = Rig(wire)
    rig.receive(post(2, b"expect: 100-continue\r\n"))
    rig.request.send(START)
    rig.request.receive()
    gc.collect()
    assert not rig.request.is_started()
    assert CONTINUE not in rig.take()


def test_error_leaves_no_reference_cycle(wire):
    rig = Rig(wire)
    rig.receive(GET)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            drive(rig.request.send({"type": "http.response.early_hint"}))
        assert gc.collect() == 0
    finally:
        gc.enable()
