"""The log output of a server: configurations written for uvicorn, custom formats, JSON."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.server import PATIENCE, SOURCES

APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError
    if scope["path"] == "/fail":
        raise ZeroDivisionError("a\\nb")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5"), (b"x-out", b"o")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""
LINE = r'^INFO:     127\.0\.0\.1:\d+ - "GET %s HTTP/1\.1" 200 OK$'

FORMATTERS = {
    "default": {"()": "uvicorn.logging.DefaultFormatter", "fmt": "%(levelprefix)s %(message)s", "use_colors": None},
    "access": {
        "()": "uvicorn.logging.AccessFormatter",
        "fmt": '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s',
    },
}
HANDLERS = {
    "default": {"class": "logging.StreamHandler", "formatter": "default", "stream": "ext://sys.stderr"},
    "access": {"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stdout"},
}
# `disable_existing_loggers` is absent and so defaults to true.
UVICORN = {
    "version": 1,
    "formatters": FORMATTERS,
    "handlers": HANDLERS,
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO"},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}


@pytest.fixture
def serve(start, connect, tmp_path):
    """A function that starts APP, with `before` at the top of its module, and sends it some requests."""

    def serve(*flags, before="", targets=("/",), form=None, fields=()):
        (tmp_path / "logged.py").write_text(before + APP)
        server = start("logged:app", "--app-dir", str(tmp_path), *flags, form=form)
        for target in targets:
            client = connect(server)
            client.get(target, *fields)
            assert client.read().status == (500 if target == "/fail" else 200)
        return server

    return serve


def end(server):
    """Stop the server; return its lines on stdout and on stderr."""
    server.signal()
    server.wait()
    return list(server.access), list(server.log)


def written(path, config):
    path.write_text(json.dumps(config))
    return str(path)


# Configurations written for uvicorn

SHOUT = """
import logging
class Shout(logging.Filter):
    def filter(self, record):
        record.msg = "shouted " + record.msg
        return True
"""


def test_configuration_of_installed_uvicorn_works(serve, tmp_path):
    config = pytest.importorskip("uvicorn.config").LOGGING_CONFIG
    access, log = end(serve("--log-config", written(tmp_path / "log.json", config), targets=["/", "/fail"]))
    assert len(access) == 2
    assert re.match(LINE % "/", access[0])
    assert re.match(r"^INFO:     Pronghorn running on http", log[4])
    assert "ERROR:    Exception in ASGI application" in log


def test_configuration_for_uvicorn_works_without_uvicorn(serve, tmp_path):
    without = "import sys\nassert not any(name.startswith('uvicorn') for name in sys.modules)\n"
    access, log = end(serve("--log-config", written(tmp_path / "log.json", UVICORN), before=without))
    assert [bool(re.match(LINE % "/", line)) for line in access] == [True]
    assert log[-1].startswith("INFO:     Finished server process")


def test_configuration_may_name_filter_of_application(serve, tmp_path):
    (tmp_path / "filters.py").write_text(SHOUT)
    handlers = {**HANDLERS, "default": {**HANDLERS["default"], "filters": ["shout"]}}
    config = {**UVICORN, "filters": {"shout": {"()": "filters.Shout"}}, "handlers": handlers}
    _, log = end(serve("--log-config", written(tmp_path / "log.json", config)))
    assert "INFO:     shouted Application startup complete." in log


def test_yaml_may_send_all_records_to_root(serve, tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "log.yaml").write_text("""
version: 1
disable_existing_loggers: true
formatters:
  plain: {format: "%(levelname)s [%(name)s] %(message)s"}
handlers:
  console: {class: logging.StreamHandler, formatter: plain}
root: {level: INFO, handlers: [console]}
loggers:
  uvicorn: {level: INFO, handlers: [], propagate: true}
  uvicorn.error: {level: INFO, propagate: true}
  uvicorn.access: {level: INFO, handlers: [], propagate: true}
""")
    access, log = end(serve("--log-config", str(tmp_path / "log.yaml")))
    assert access == []
    assert re.match(r'^INFO \[pronghorn\.access\] 127\.0\.0\.1:\d+ - "GET / HTTP/1\.1" 200$', log[5])
    assert log[3] == "INFO [pronghorn.error] Application startup complete."


def test_ini_may_send_requests_to_file(serve, tmp_path):
    (tmp_path / "log.ini").write_text(f"""
[loggers]
keys=root,uvicorn,access
[handlers]
keys=err,file
[formatters]
keys=default,plain
[logger_root]
level=INFO
handlers=
[logger_uvicorn]
level=INFO
handlers=err
qualname=uvicorn.error
[logger_access]
level=INFO
handlers=file
propagate=0
qualname=uvicorn.access
[handler_err]
class=StreamHandler
formatter=default
args=(sys.stderr,)
[handler_file]
class=FileHandler
formatter=plain
args=({str(tmp_path / "access.log")!r},)
[formatter_default]
class=uvicorn.logging.DefaultFormatter
format=%(levelprefix)s %(message)s
[formatter_plain]
format=%(message)s
""")
    access, log = end(serve("--log-config", str(tmp_path / "log.ini")))
    assert access == []
    assert re.fullmatch(r'127\.0\.0\.1:\d+ - "GET / HTTP/1\.1" 200\n', (tmp_path / "access.log").read_text())
    assert "INFO:     Application startup complete." in log


def test_configuration_may_silence_access_log(serve, tmp_path):
    loggers = {**UVICORN["loggers"], "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False}}
    access, _ = end(serve("--log-config", written(tmp_path / "log.json", {**UVICORN, "loggers": loggers})))
    assert access == []


# Code written for uvicorn

IMPORTS = "import logging, logging.config, sys\n"
HEALTH = """
class Health(logging.Filter):
    def filter(self, record):
        client, method, path, version, status = record.args
        return path.startswith("/health") is False and status < 600
logging.getLogger("uvicorn.access").addFilter(Health())
"""
LOGURU = """
class Intercept(logging.Handler):
    def emit(self, record):
        print("intercepted", record.levelname, record.getMessage(), file=sys.stderr)
for name in list(logging.root.manager.loggerDict):
    if name.startswith("uvicorn"):
        logging.getLogger(name).handlers = []
for name in ("uvicorn", "uvicorn.access"):
    logging.getLogger(name).handlers = [Intercept()]
"""


def test_filter_drops_health_checks(serve, form):
    access, _ = end(serve(before=IMPORTS + HEALTH, targets=["/health", "/", "/healthz?a"], form=form))
    assert len(access) == 1
    assert re.match(LINE % "/", access[0])


def test_filter_drops_health_checks_with_custom_format(serve, form):
    server = serve("--access-log-format", "%(U)s %(B)s", before=IMPORTS + HEALTH, targets=["/health", "/"], form=form)
    assert end(server)[0] == ["/ 5"]


@pytest.mark.parametrize("statement", ["disabled = True", "handlers.clear()", "setLevel(logging.WARNING)"])
def test_code_may_silence_access_log(serve, statement):
    access, log = end(serve(before=f"{IMPORTS}logging.getLogger('uvicorn.access').{statement}\n"))
    assert access == []
    assert log


def test_code_may_replace_handlers(serve):
    access, log = end(serve(before=IMPORTS + LOGURU))
    assert access == []
    assert sum("intercepted INFO 127.0.0.1:" in line for line in log) == 1
    assert all(line.startswith("intercepted INFO ") for line in log)


def test_application_may_configure_logging_itself(serve):
    """The configuration disables the loggers it does not name, but it names ours."""
    config = {**UVICORN, "formatters": json.loads(json.dumps(FORMATTERS).replace("uvicorn", "pronghorn"))}
    access, log = end(serve(before=f"{IMPORTS}logging.config.dictConfig({config!r})\n"))
    assert [bool(re.match(LINE % "/", line)) for line in access] == [True]
    assert log[-1].startswith("INFO:     Finished server process")


def test_filter_added_before_server_is_created_applies(tmp_path):
    """A script that calls `run` may add the filter first."""
    (tmp_path / "script.py").write_text(
        IMPORTS
        + HEALTH
        + APP
        + """
import asyncio, urllib.request
import pronghorn

class Server(pronghorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        for path in ("/health", "/other"):
            await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}{path}")
        self.should_exit = True

Server(pronghorn.Config(app, port=0)).run()
"""
    )
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SOURCES), "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert [bool(re.match(LINE % "/other", line)) for line in done.stdout.splitlines()] == [True], done.stderr


# Custom formats


def test_format_of_gunicorn_is_supported(serve, form):
    text = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %({x-out}o)s'
    fields = ['user-agent: a"b\\c', "referer: http://other/"]
    access, _ = end(serve("--access-log-format", text, targets=["/a%20b?q=%41"], fields=fields, form=form))
    assert len(access) == 1
    assert re.fullmatch(
        r"127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"GET /a%20b\?q=%41 HTTP/1\.1" 200 5 "http://other/" "a\\"b\\\\c" o',
        access[0],
    )


def test_requests_are_logged_as_json(serve, form):
    server = serve("--access-log-format", "json", targets=["/?a=1", "/fail"], fields=["x-request-id: 7"], form=form)
    access, log = end(server)
    first, second = (json.loads(line) for line in access)
    assert (first["path"], first["query"], first["status"], first["bytes"]) == ("/", "a=1", 200, 5)
    assert (second["path"], second["status"], second["bytes"]) == ("/fail", 500, 21)
    assert first["request_id"] == "7"
    assert 0 < first["duration"] < PATIENCE
    assert log[-1].startswith("INFO:     Finished")


def test_stream_is_logged_at_its_end(start, connect):
    server = start("asgi:app", "--access-log-format", "%(U)s %(s)s %(B)s %(L)s")
    client = connect(server)
    client.get("/stream?count=3")
    assert len(client.read().body) == 3 * 65536
    server.access.wait_for(r"^/stream 200 196608 0\.\d{6}$")


def test_size_of_sent_file_is_logged(start, connect, variant):
    server = start("asgi:app", "--access-log-format", "%(B)s", "--sendfile", "--loop", variant[1], form=variant[0])
    client = connect(server)
    client.get("/file?size=600000")
    assert len(client.read().body) == 600000
    server.access.wait_for("^600000$")


def test_disconnected_request_is_logged(start, connect, form):
    server = start("asgi:app", "--access-log-format", "%(U)s %(s)s %(B)s", form=form)
    client = connect(server)
    client.get("/endless?name=logged")
    client.socket.recv(1000)
    client.socket.close()
    server.access.wait_for(r"^/endless 200 [1-9]\d*$")


def test_every_line_is_written_before_exit(start, connect):
    server = start("asgi:app", "--access-log-format", "%(U)s %(B)s", "--timeout-graceful-shutdown", "1")
    client, endless = connect(server), connect(server)
    endless.get("/endless?name=logged")
    endless.socket.recv(1000)
    for _ in range(100):
        client.get("/")
        client.read()
    access, _ = end(server)
    assert access.count("/ 5") == 100
    assert sum(line.startswith("/endless ") for line in access) == 1


def test_format_may_come_from_environment(start, connect):
    server = start("asgi:app", env={"PRONGHORN_ACCESS_LOG_FORMAT": "%(m)s %(s)s"})
    client = connect(server)
    client.get("/")
    client.read()
    server.access.wait_for("^GET 200$")


# JSON


def test_log_format_json_applies_to_all_lines(serve, form):
    access, log = end(serve("--log-format", "json", targets=["/", "/fail"], form=form))
    assert [json.loads(line)["status"] for line in access] == [200, 500]
    lines = [json.loads(line) for line in log]
    assert [line["message"].split(" [")[0] for line in lines[:3]] == [
        "Started server process",
        "Waiting for application startup.",
        "ASGI 'lifespan' protocol appears unsupported.",
    ]
    assert {line["logger"] for line in lines} == {"pronghorn.error"}
    (failed,) = [line for line in lines if "exception" in line]
    assert failed["level"] == "ERROR"
    assert failed["message"] == "Exception in ASGI application"
    assert failed["exception"].endswith("ZeroDivisionError: a\nb")


def test_requests_may_stay_text_with_log_format_json(serve):
    text = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'
    access, log = end(serve("--log-format", "json", "--access-log-format", text))
    assert re.match(LINE % "/", access[0])
    assert all(json.loads(line) for line in log)


def test_startup_error_is_logged_as_json(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pronghorn", "nowhere:app", "--log-format", "json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 3
    assert json.loads(done.stderr)["message"].startswith("Error loading ASGI app. ")


def test_log_format_json_is_ignored_with_log_config(serve, tmp_path):
    access, log = end(serve("--log-format", "json", "--log-config", written(tmp_path / "log.json", UVICORN)))
    assert re.match(LINE % "/", access[0])
    assert log[0] == "WARNING:  --log-format json has no effect with --log-config."
