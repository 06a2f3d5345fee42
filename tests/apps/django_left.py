"""Responses of Django's that say on stderr when they are over."""

import asyncio
import io
import sys

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse, StreamingHttpResponse
from django.urls import path

SIZE = 32 << 20
PART = bytes(65536)


class Noted(io.BytesIO):
    def close(self):
        print("finally", file=sys.stderr, flush=True)
        super().close()


async def file(request):
    return FileResponse(Noted(bytes(SIZE)))


async def stream(request):
    async def parts():
        try:
            for _ in range(SIZE // len(PART)):
                yield PART
                await asyncio.sleep(0)
        finally:
            print("finally", file=sys.stderr, flush=True)

    return StreamingHttpResponse(parts())


urlpatterns = [path("file", file), path("stream", stream)]
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test", LOGGING_CONFIG=None)
django.setup()
app = get_asgi_application()
