"""Django's ASGI handler, which does not support lifespan."""

import hashlib

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={},
    DEBUG=False,
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests only",
)
django.setup()


def show(request):
    response = JsonResponse({"method": request.method, "path": request.path, "query": request.GET.dict()})
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


def form(request):
    return JsonResponse(request.POST.dict())


def upload(request):
    content = request.FILES["file"].read()
    return JsonResponse({"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})


def stream(request):
    return StreamingHttpResponse((b"%d\n" % number for number in range(100)), content_type="text/plain")


async def stream_async(request):
    async def parts():
        for number in range(100):
            yield b"%d\n" % number

    return StreamingHttpResponse(parts(), content_type="text/plain")


async def in_the_loop(request):
    return HttpResponse("async")


def fail(request):
    raise ValueError("the application's own fault")


urlpatterns = [
    path("show", show),
    path("form", form),
    path("upload", upload),
    path("stream", stream),
    path("stream-async", stream_async),
    path("in-the-loop", in_the_loop),
    path("fail", fail),
]

app = get_asgi_application()
