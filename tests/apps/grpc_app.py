"""A service for gRPC, gRPC-Web and Connect, by connectrpc. Its messages are strings, so nothing has to be generated."""

import asyncio
import contextlib
import os
from collections import defaultdict

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint
from protobuf.wkt import StringValue

# The ends of named calls.
endings = {}
ended = defaultdict(asyncio.Event)


@contextlib.contextmanager
def noted(name):
    """Note how the block ends."""
    endings[name] = "returned"
    try:
        yield
    except BaseException as error:
        endings[name] = type(error).__name__
        raise
    finally:
        ended[name].set()


async def upper(message, context):
    """Answer in capitals, with the metadata "x-word" in the headers and in the trailers."""
    if word := context.request_headers.get("x-word"):
        context.response_headers["x-first"] = word
        context.response_trailers["x-last"] = word
    if message.value == "missing":
        raise ConnectError(Code.NOT_FOUND, "no ünicorn")
    return StringValue(value=message.value.upper())


async def join(messages, context):
    return StringValue(value="".join([each.value async for each in messages]))


async def split(message, context):
    """Send each word; then fail if the last one is "fail"."""
    for word in message.value.split():
        if word == "fail":
            raise ConnectError(Code.RESOURCE_EXHAUSTED, "no more words")
        yield StringValue(value=word)


async def echo(messages, context):
    with noted(context.request_headers.get("x-name")):
        async for each in messages:
            yield each


async def endless(message, context):
    with noted(message.value):
        while True:
            yield StringValue(value="again " * 1000)


async def wait(message, context):
    with noted(message.value):
        await asyncio.Event().wait()


async def ending(message, context):
    """Wait for the end of the call of this name, and tell how it has ended."""
    await ended[message.value].wait()
    return StringValue(value=endings[message.value])


async def process(message, context):
    return StringValue(value=str(os.getpid()))


class Words(ConnectASGIApplication):
    path = "/test.Words"

    def __init__(self):
        kinds = {
            upper: (StreamType.UNARY, Endpoint.unary),
            wait: (StreamType.UNARY, Endpoint.unary),
            ending: (StreamType.UNARY, Endpoint.unary),
            process: (StreamType.UNARY, Endpoint.unary),
            join: (StreamType.CLIENT_STREAM, Endpoint.client_stream),
            split: (StreamType.SERVER_STREAM, Endpoint.server_stream),
            endless: (StreamType.SERVER_STREAM, Endpoint.server_stream),
            echo: (StreamType.BIDI_STREAM, Endpoint.bidi_stream),
        }
        endpoints = {}
        for function, (kind, endpoint) in kinds.items():
            name = function.__name__.title()
            method = MethodInfo(
                name=name,
                service_name="test.Words",
                input=StringValue,
                output=StringValue,
                idempotency_level=IdempotencyLevel.UNKNOWN,
                stream_type=kind,
            )
            endpoints[f"{self.path}/{name}"] = endpoint(method, function)
        super().__init__(service=self, endpoints=lambda _: endpoints)


app = Words()
