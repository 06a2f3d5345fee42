"""A Django file response that prints to stderr when it is closed."""

import io
import sys

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse
from django.urls import path


class Noted(io.BytesIO):
    def close(self):
        print("closed", file=sys.stderr, flush=True)
        super().close()


async def file(request):
    return FileResponse(Noted(bytes(32 << 20)))


urlpatterns = [path("file", file)]
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test", LOGGING_CONFIG=None)
django.setup()
app = get_asgi_application()
