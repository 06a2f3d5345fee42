"""A Django application with one JSON view, in a single file."""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True)


async def hello(request: HttpRequest) -> JsonResponse:
    """Answer a small object."""
    return JsonResponse({"message": "Hello, world!"})


urlpatterns = [path("json", hello)]
app = get_asgi_application()
