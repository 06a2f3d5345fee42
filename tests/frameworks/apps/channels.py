"""Channels over HTTP: its router, Django behind it, consumers that answer whole, in pieces and with events."""

import json

from . import django

from channels.generic.http import AsyncHttpConsumer  # isort: skip
from channels.routing import ProtocolTypeRouter, URLRouter  # isort: skip
from django.urls import path, re_path  # isort: skip


class Echo(AsyncHttpConsumer):
    async def handle(self, body):
        await self.send_response(200, body, headers=[(b"Content-Type", b"application/octet-stream")])


class Pieces(AsyncHttpConsumer):
    async def handle(self, body):
        await self.send_headers(headers=[(b"Content-Type", b"text/event-stream"), (b"Cache-Control", b"no-cache")])
        for number in range(20):
            await self.send_body(f"data: {json.dumps(number)}\n\n".encode(), more_body=True)
        await self.send_body(b"")


class Failing(AsyncHttpConsumer):
    async def handle(self, body):
        raise ValueError("the application's own fault")


app = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("consumer/echo", Echo.as_asgi()),
                path("consumer/pieces", Pieces.as_asgi()),
                path("consumer/fail", Failing.as_asgi()),
                re_path(r"", django.app),
            ]
        )
    }
)
