"""`manage.py runserver` in a project that installs `pronghorn.django`."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest

from tests.support.server import PATIENCE, SOURCES, Lines

pytestmark = pytest.mark.skipif(find_spec("django") is None, reason="Django is not installed")

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
execute_from_command_line(sys.argv)
"""

SETTINGS = """
from pathlib import Path
INSTALLED_APPS = ["pronghorn.django", "django.contrib.staticfiles"]
ASGI_APPLICATION = "project.asgi.application"
ROOT_URLCONF = "project.urls"
SECRET_KEY = "for tests only"
DEBUG = True
DATABASES = {}
STATIC_URL = "static/"
STATICFILES_DIRS = [Path(__file__).parent / "files"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
"""

ASGI = """
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

async def application(scope, receive, send):
    async def named(message):
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-application", b"the project's")]
        await send(message)
    await django_application(scope, receive, named)
"""

URLS = """
import asyncio, threading
from django.http import JsonResponse
from django.urls import path

running = 0
most = 0
both = threading.Barrier(2)

def show(request):
    return JsonResponse({"class": type(request).__name__, "answer": "first"})

def meet(request):
    both.wait(10)
    return JsonResponse({})

async def count(request):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.1)
    running -= 1
    return JsonResponse({"most": most})

urlpatterns = [path("", show), path("meet", meet), path("count", count)]
"""


class Project:
    def __init__(self, folder):
        self.folder = folder
        (folder / "project" / "files").mkdir(parents=True)
        (folder / "project" / "files" / "style.css").write_text("body { color: red }")
        for name, text in {"__init__": "", "settings": SETTINGS, "asgi": ASGI, "urls": URLS}.items():
            (folder / "project" / f"{name}.py").write_text(text)
        (folder / "manage.py").write_text(MANAGE)

    def change(self, name, old, new):
        file = self.folder / "project" / f"{name}.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


class Manage:
    """A `manage.py` process and its output."""

    def __init__(self, project, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO", "PRONGHORN_", "UVICORN_"))}
        self._popen = subprocess.Popen(
            [sys.executable, "-u", "manage.py", *arguments],
            cwd=project.folder,
            # The reloader's child does not inherit `-u`.
            env={**environment, "PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.log = Lines(self._popen.stdout)
        self.url = ""

    def wait_until_running(self, count=1):
        self.url = self.log.wait_for(r"^Starting ASGI/pronghorn \S+ development server at (http://\S+:\d+/)$", count)[1]
        self.log.wait_for("Quit the server with", count)
        return self

    def get(self, path=""):
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def kill(self, number):
        self._popen.send_signal(number)

    def wait(self):
        code = self._popen.wait(PATIENCE)
        self.log.wait_for_end()
        return code

    def end(self):
        # The reloader's child is in the same process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait(PATIENCE)
        print(self.log.text())  # pytest shows it for a failed test


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def manage(project):
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            process = Manage(project, *arguments)
            stack.callback(process.end)
            return process

        yield start


@pytest.fixture
def runserver(manage):
    return lambda *flags: manage("runserver", "--noreload", *flags)


def test_runserver_serves_application_of_project(runserver):
    server = runserver("0").wait_until_running()
    assert server.url.startswith("http://127.0.0.1:")
    status, headers, body = server.get()
    assert (status, json.loads(body)) == (200, {"class": "ASGIRequest", "answer": "first"})
    assert (headers["server"], headers["x-application"]) == ("pronghorn", "the project's")
    assert server.get("missing?a=b")[0] == 404
    server.log.wait_for(r'^\[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\] "GET / HTTP/1\.1" 200$')
    server.log.wait_for(r'"GET /missing\?a=b HTTP/1\.1" 404$')
    server.log.wait_for("Performing system checks")
    server.log.wait_for("Django version .*, using settings 'project.settings'")
    server.kill(signal.SIGINT)
    assert server.wait() == 0
    assert "server process" not in server.log.text()


def test_static_files_are_served(runserver):
    server = runserver("0").wait_until_running()
    status, headers, body = server.get("static/style.css")
    assert (status, headers["content-type"], body) == (200, "text/css", b"body { color: red }")
    assert server.get("static/missing.css")[0] == 404


def test_static_files_can_be_turned_off(runserver):
    server = runserver("--nostatic", "0").wait_until_running()
    assert server.get("static/style.css")[0] == 404


def test_project_without_static_files_and_asgi_application_is_served(runserver, project):
    project.change("settings", ', "django.contrib.staticfiles"', "")
    project.change("settings", "ASGI_APPLICATION", "UNUSED")
    server = runserver("0").wait_until_running()
    status, headers, body = server.get()
    assert (status, json.loads(body)["class"], headers["x-application"]) == (200, "ASGIRequest", None)


@pytest.mark.parametrize(
    ("place", "shown"), [("localhost:0", "localhost"), ("0.0.0.0:0", "0.0.0.0"), ("0:0", "0.0.0.0")]
)
def test_address_is_bound_and_shown(runserver, place, shown):
    server = runserver(place).wait_until_running()
    assert server.url.startswith(f"http://{shown}:")
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    assert server.get()[0] == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
@pytest.mark.parametrize("flags", [["[::1]:0"], ["-6", "0"]], ids=str)
def test_ipv6_address_is_bound(runserver, flags):
    server = runserver(*flags).wait_until_running()
    assert server.url.startswith("http://[::1]:")
    assert server.get()[0] == 200


def test_port_in_use_is_refused(runserver):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = runserver(str(other.getsockname()[1]))
        assert server.wait() == 1
    server.log.wait_for("Error: That port is already in use.")


def test_malformed_address_is_refused(runserver):
    server = runserver("nowhere:at:all")
    assert server.wait() == 1
    server.log.wait_for("is not a valid port number or address:port pair")


def test_missing_application_is_refused(runserver, project):
    project.change("settings", "project.asgi.application", "project.asgi.missing")
    server = runserver("0")
    assert server.wait() == 1
    server.log.wait_for("ImproperlyConfigured: ASGI application 'project.asgi.missing' could not be loaded")


def test_failed_lifespan_ends_command(runserver, project):
    project.change(
        "asgi",
        "    async def named",
        "    if scope['type'] == 'lifespan':\n"
        "        await receive()\n"
        "        return await send({'type': 'lifespan.startup.failed', 'message': 'no cache'})\n"
        "    async def named",
    )
    server = runserver("0")
    assert server.wait() != 0
    server.log.wait_for("no cache")


def test_requests_run_in_parallel(runserver):
    server = runserver("0").wait_until_running()
    other = threading.Thread(target=server.get, args=["meet"])
    other.start()
    assert server.get("meet")[0] == 200
    other.join(PATIENCE)


def test_requests_run_one_by_one_without_threading(runserver):
    server = runserver("--nothreading", "0").wait_until_running()
    others = [threading.Thread(target=server.get, args=["count"]) for _ in range(3)]
    for each in others:
        each.start()
    assert json.loads(server.get("count")[2]) == {"most": 1}
    for each in others:
        each.join(PATIENCE)


def test_change_reloads_project(manage, project):
    server = manage("runserver", "0").wait_until_running()
    assert json.loads(server.get()[2])["answer"] == "first"
    project.change("urls", '"first"', '"second"')
    server.log.wait_for_change(project.folder / "project" / "urls.py", r"urls\.py changed, reloading")
    server.wait_until_running(2)
    assert json.loads(server.get()[2])["answer"] == "second"
    server.kill(signal.SIGTERM)
    server.wait()


def test_wrong_place_among_applications_is_warned_about(manage, project):
    project.change(
        "settings",
        '"pronghorn.django", "django.contrib.staticfiles"',
        '"django.contrib.staticfiles", "pronghorn.django"',
    )
    check = manage("check")
    assert check.wait() == 0
    check.log.wait_for("pronghorn.W001")
