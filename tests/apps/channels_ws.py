"""WebSockets of Django Channels: consumers in the loop and in threads, and their groups."""

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    DATABASES={},
    DEBUG=False,
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests only",
)
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402
from channels.exceptions import DenyConnection  # noqa: E402
from channels.generic.websocket import (  # noqa: E402
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

ended = []


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data, bytes_data)

    async def disconnect(self, code):
        ended.append([code])


class EchoInThreads(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data, bytes_data)

    def disconnect(self, code):
        ended.append([code])


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("chat", self.channel_name)
        await self.accept("chat")
        await self.send_json({"joined": True})

    async def receive_json(self, content):
        await self.channel_layer.group_send("chat", {"type": "chat.said", "text": content["text"]})

    async def chat_said(self, event):
        await self.send_json({"said": event["text"]})

    async def disconnect(self, code):
        await self.channel_layer.group_discard("chat", self.channel_name)


class ChatInThreads(WebsocketConsumer):
    groups = ("chat",)

    def receive(self, text_data=None, bytes_data=None):
        async_to_sync(self.channel_layer.group_send)("chat", {"type": "chat.said", "text": text_data})

    def chat_said(self, event):
        self.send(event["text"])


class Reject(AsyncWebsocketConsumer):
    async def connect(self):
        raise DenyConnection


class RejectInThreads(WebsocketConsumer):
    def connect(self):
        self.close()


class Close(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.close(4321, "enough")


class CloseInThreads(WebsocketConsumer):
    def connect(self):
        self.accept()
        self.close(4321, "enough")


class Fail(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        raise ValueError("the application's own fault")


class FailInThreads(WebsocketConsumer):
    def connect(self):
        self.accept()
        raise ValueError("the application's own fault")


urlpatterns = [
    path("http", lambda request: HttpResponse("http")),
    path("ended", lambda request: JsonResponse(ended, safe=False)),
]

websockets = [
    path("chat", Chat.as_asgi()),
    path("close", Close.as_asgi()),
    path("echo", Echo.as_asgi()),
    path("fail", Fail.as_asgi()),
    path("reject", Reject.as_asgi()),
    path("threads/chat", ChatInThreads.as_asgi()),
    path("threads/close", CloseInThreads.as_asgi()),
    path("threads/echo", EchoInThreads.as_asgi()),
    path("threads/fail", FailInThreads.as_asgi()),
    path("threads/reject", RejectInThreads.as_asgi()),
]

app = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": AllowedHostsOriginValidator(URLRouter(websockets))}
)
