"""Django's ASGI handler with its usual middleware (sessions, messages, CSRF, gzip) and sync and async views."""

import asyncio
import hashlib

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect as redirect_to
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page

from . import HERE

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={},
    INSTALLED_APPS=["django.contrib.sessions"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests only",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()


def show(request):
    return JsonResponse({"method": request.method, "path": request.path, "query": request.GET.dict()})


@csrf_exempt
async def echo(request):
    return HttpResponse(request.body, content_type=request.headers.get("content-type"))


@csrf_exempt
def upload(request):
    digest = hashlib.sha256()
    for chunk in request.FILES["file"].chunks():
        digest.update(chunk)
    return JsonResponse(
        {"name": request.FILES["file"].name, "word": request.POST["word"], "sha256": digest.hexdigest()}
    )


def protected(request):
    return HttpResponse("never: the request has no token")


def stream(request):
    return StreamingHttpResponse((f"{number}\n" for number in range(50)), content_type="text/plain")


async def stream_async(request):
    async def parts():
        for number in range(50):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return StreamingHttpResponse(parts(), content_type="text/plain")


def file(request):
    return FileResponse(open(HERE / "static" / "file.txt", "rb"))


@gzip_page
async def zipped(request):
    return HttpResponse("to be zipped " * 100)


async def empty(request):
    return HttpResponse(status=204)


def redirect(request):
    return redirect_to("/show")


async def cookies(request):
    response = HttpResponse("two")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2", httponly=True)
    return response


def fail(request):
    raise ValueError("the application's own fault")


urlpatterns = [
    path("show", show),
    path("echo", echo),
    path("upload", upload),
    path("protected", protected),
    path("stream", stream),
    path("stream-async", stream_async),
    path("file", file),
    path("zipped", zipped),
    path("empty", empty),
    path("redirect", redirect),
    path("cookies", cookies),
    path("fail", fail),
    path("slash/", show),
]

app = get_asgi_application()
