"""`gunicorn -k pronghorn.gunicorn.Worker`: its settings, signals and exit codes."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from tests.support.server import APPS, PATIENCE, SOURCES, Lines

pytestmark = pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not installed")


class Gunicorn:
    def __init__(self, home, app, *flags, worker="pronghorn.gunicorn.Worker", **env):
        environment = {name: value for name, value in os.environ.items() if name != "GUNICORN_CMD_ARGS"}
        # gunicorn puts its control socket into the home directory.
        environment |= {"PYTHONPATH": f"{SOURCES}{os.pathsep}{APPS}", "PYTHONUNBUFFERED": "1", "HOME": str(home), **env}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-k", worker, "-b", "127.0.0.1:0", *flags, app],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.log = Lines(self._popen.stdout)
        self.port = 0

    def wait_until_running(self, workers=1):
        self.port = int(self.log.wait_for(r"Listening at: https?://127\.0\.0\.1:(\d+)")[1])
        self.log.wait_for("Application startup complete", workers)
        return self

    def kill(self, number):
        self._popen.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        self.kill(number)
        return self.wait()

    def wait(self):
        code = self._popen.wait(PATIENCE)
        self.log.wait_for_end()
        return code

    def end(self):
        if self._popen.poll() is None:
            # The workers end with the arbiter.
            self._popen.terminate()
            try:
                self._popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        self._popen.wait(PATIENCE)
        print(self.log.text())  # pytest shows it for a failed test


@pytest.fixture
def gunicorn(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(app="under_gunicorn:app", *flags, **options):
            server = Gunicorn(tmp_path, app, *flags, **options)
            stack.callback(server.end)
            return server

        yield start


def ask(client, target="/", *fields):
    """Return the worker's process id and the facts it has seen."""
    client.get(target, *fields)
    return json.loads(client.read().body)


@pytest.mark.parametrize("worker", ["UvicornWorker", "UvicornH11Worker"])
def test_worker_is_available_under_uvicorn_names(gunicorn, connect, worker):
    server = gunicorn(worker=f"pronghorn.workers.{worker}").wait_until_running()
    client = connect(server)
    assert ask(client)[1][0] == list(client.socket.getsockname())
    assert server.stop() == 0


def test_several_binds_are_served_logged_and_stopped(gunicorn, connect, tmp_path):
    path = str(tmp_path / "s")
    server = gunicorn("under_gunicorn:app", "-b", f"unix:{path}", "-w", "2", "--access-logfile", "-")
    server.wait_until_running(workers=2)
    client = connect(server)
    host, port = client.socket.getsockname()
    assert ask(client)[1][0] == [host, port]
    # Like gunicorn, the worker trusts every peer on a Unix socket.
    assert ask(connect(path), "/", "X-Forwarded-For: 1.2.3.4")[1][0] == ["1.2.3.4", 0]
    server.log.wait_for(rf'^{host}:{port} - "GET / HTTP/1\.1" 200$')
    server.log.wait_for(r'^1\.2\.3\.4:0 - "GET / HTTP/1\.1" 200$')
    server.log.wait_for(r"^\[.*\] \[\d+\] \[INFO\] Started server process")
    assert server.stop() == 0
    text = server.log.text()
    assert text.count("the application has ended") == 2
    assert "SIGTERM" not in text
    assert "Pronghorn running" not in text


def test_access_log_is_off_by_default(gunicorn, connect):
    server = gunicorn().wait_until_running()
    ask(connect(server))
    assert server.stop() == 0
    assert "GET" not in server.log.text()


def test_untrusted_proxy_is_ignored(gunicorn, connect):
    server = gunicorn("under_gunicorn:app", "--forwarded-allow-ips", "10.0.0.1").wait_until_running()
    client = connect(server)
    assert ask(client, "/", "X-Forwarded-For: 1.2.3.4")[1][0] == list(client.socket.getsockname())


def test_sigterm_lets_requests_finish(gunicorn, connect):
    server = gunicorn().wait_until_running()
    client = connect(server)
    client.get("/wait")
    server.log.wait_for("waiting")
    server.kill(signal.SIGTERM)
    assert client.read().status == 200
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_quick_stop_does_not_wait_for_requests(gunicorn, connect, number):
    server = gunicorn("under_gunicorn:app", "--graceful-timeout", "60").wait_until_running()
    client = connect(server)
    client.get("/endless")
    client.read_head()
    assert server.stop(number) == 0
    assert "the application has ended" in server.log.text()
    assert "Worker (pid" not in server.log.text()


def test_graceful_timeout_ends_requests(gunicorn, connect):
    server = gunicorn("under_gunicorn:app", "--graceful-timeout", "1").wait_until_running()
    client = connect(server)
    client.get("/endless")
    client.read_head()
    assert server.stop() == 0


def test_sighup_replaces_workers(gunicorn, connect):
    server = gunicorn().wait_until_running()
    first, _ = ask(connect(server))
    server.kill(signal.SIGHUP)
    server.log.wait_for("Application startup complete", 2)
    server.log.wait_for(rf"Worker exiting \(pid: {first}\)")
    assert ask(connect(server))[0] != first


def test_sigusr1_reopens_logs(gunicorn, connect, tmp_path):
    log = tmp_path / "access.log"
    server = gunicorn("under_gunicorn:app", "--access-logfile", str(log)).wait_until_running()
    ask(connect(server), "/one")
    log.rename(tmp_path / "old.log")
    server.kill(signal.SIGUSR1)
    number = 0
    while not log.exists() or "/two" not in log.read_text():
        number += 1
        assert number < 1000
        ask(connect(server), "/two")
    assert "/one" in (tmp_path / "old.log").read_text()


def test_worker_is_replaced_after_max_requests(gunicorn, connect):
    server = gunicorn("under_gunicorn:app", "--max-requests", "3").wait_until_running()
    first, _ = ask(connect(server))
    ask(connect(server))
    ask(connect(server))
    server.log.wait_for("Maximum request limit of 3 exceeded")
    server.log.wait_for("Application startup complete", 2)
    assert ask(connect(server))[0] != first


def test_kept_connection_is_closed_with_notice_after_max_requests(gunicorn, connect):
    server = gunicorn("under_gunicorn:app", "--max-requests", "3").wait_until_running()
    client = connect(server)
    assert client.get_until_notice() == "close"
    assert client.rest() == b""


def test_keepalive_and_worker_parameters_apply(gunicorn, connect):
    server = gunicorn("under_gunicorn:app", "--keep-alive", "0", worker="under_gunicorn.Bounded").wait_until_running()
    client = connect(server)
    client.get("/", "Forwarded: for=1.2.3.4", "X-Forwarded-For: 2.3.4.5")
    answer = client.read()
    assert json.loads(answer.body)[1][0] == ["1.2.3.4", 0]
    assert answer.field("connection") == "close"
    client = connect(server)
    client.post("/", b"long")
    assert client.read().status == 413


def test_blocked_worker_is_replaced(gunicorn, connect):
    server = gunicorn("under_gunicorn:app", "--timeout", "2").wait_until_running()
    first, _ = ask(connect(server))
    connect(server).get("/block")
    server.log.wait_for("blocking")
    server.log.wait_for(rf"WORKER TIMEOUT \(pid:{first}\)")
    server.log.wait_for("Application startup complete", 2)
    assert ask(connect(server))[0] != first


def test_slow_start_is_no_timeout(gunicorn, connect):
    server = gunicorn("under_gunicorn:app", "--timeout", "2", STARTS_FOR="3").wait_until_running()
    ask(connect(server))
    assert "TIMEOUT" not in server.log.text()


def test_sigterm_ends_startup_at_once(gunicorn):
    server = gunicorn("under_gunicorn:app", "--graceful-timeout", "600", STARTS_FOR="600")
    server.log.wait_for("Waiting for application startup")
    assert server.stop() == 0


def test_workers_do_not_outlive_arbiter(gunicorn, connect):
    server = gunicorn().wait_until_running()
    worker, _ = ask(connect(server))
    server.kill(signal.SIGKILL)
    server.log.wait_for("Parent changed")
    server.log.wait_for("the application has ended")
    server.log.wait_for(rf"Worker exiting \(pid: {worker}\)")


def test_reload_follows_changed_file(gunicorn, connect, tmp_path):
    changing = tmp_path / "changing.py"
    changing.write_text("from under_gunicorn import app\n")
    server = gunicorn("changing:app", "--reload", "--reload-engine", "poll").wait_until_running()
    first, _ = ask(connect(server))
    changing.write_text("from under_gunicorn import app\n1 2\n")
    server.log.wait_for_change(changing, "SyntaxError")
    client = connect(server)
    client.get("/")
    answer = client.read()
    assert (answer.status, answer.body) == (500, b"The application has a syntax error, which the log shows.")
    changing.write_text("import sys\nfrom under_gunicorn import app\nprint('mended', file=sys.stderr)\n")
    server.log.wait_for_change(changing, "^mended$")
    assert ask(connect(server))[0] != first


def test_failed_startup_stops_gunicorn(gunicorn):
    server = gunicorn("under_gunicorn:app", FAILS="1")
    assert server.wait() == 3
    server.log.wait_for("no database")
    assert server.log.text().count("Booting worker") == 1


def test_invalid_parameter_stops_gunicorn(gunicorn):
    server = gunicorn("under_gunicorn:app", worker="under_gunicorn.Wrong")
    assert server.wait() == 3
    server.log.wait_for("timeout_head must be a number between 0 and .*, not 'soon'")


def test_proxy_protocol_stops_gunicorn(gunicorn):
    server = gunicorn("under_gunicorn:app", "--proxy-protocol", "-w", "1")
    assert server.wait() == 3
    server.log.wait_for("proxy_protocol is not available")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 1)])
def test_signal_ends_forked_child(gunicorn, connect, number, code):
    client = connect(gunicorn("children:app").wait_until_running())
    client.get(f"/killed?{number}")
    assert int(client.read().body) == code


@pytest.fixture
def authority(tmp_path):
    """A certificate authority that has issued `tmp_path / "cert.pem"`."""
    authority = pytest.importorskip("trustme").CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    return authority


def shake_hands(client, authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client.socket = context.wrap_socket(client.socket, server_hostname="localhost")


def test_tls_is_served(gunicorn, connect, authority, tmp_path):
    pem = str(tmp_path / "cert.pem")
    server = gunicorn("under_gunicorn:app", "--certfile", pem, "--keyfile", pem).wait_until_running()
    client = connect(server)
    shake_hands(client, authority)
    assert ask(client)[1][1] == "https"


def test_tls_keys_are_logged(gunicorn, connect, authority, tmp_path):
    pem, keys = str(tmp_path / "cert.pem"), tmp_path / "keys"
    server = gunicorn("under_gunicorn:app", "--certfile", pem, "--keyfile", pem, SSLKEYLOGFILE=str(keys))
    client = connect(server.wait_until_running())
    shake_hands(client, authority)
    assert ask(client)[1][1] == "https"
    assert "SERVER_TRAFFIC_SECRET_0 " in keys.read_text()


# The translation of settings


def config_of(monkeypatch, **settings):
    from gunicorn.config import Config

    from pronghorn.gunicorn import Worker

    # Config would set up the loggers of this process.
    monkeypatch.setattr("pronghorn.config.Config.configure_logging", lambda self: None)
    cfg = Config()
    for name, value in settings.items():
        cfg.set(name, value)
    worker = Worker(1, os.getpid(), [], None, cfg.timeout / 2, cfg, SimpleNamespace())
    worker.tmp.close()
    worker.wsgi = None
    return worker._make_config()


def test_settings_become_parameters(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    config = config_of(
        monkeypatch,
        limit_request_line=8000,
        limit_request_fields=7,
        limit_request_field_size=100000,
        backlog=11,
        keepalive=12,
        graceful_timeout=13,
        max_requests=14,
        forwarded_allow_ips="10.0.0.1",
    )
    assert (config.limit_target_size, config.limit_head_fields, config.limit_head_size) == (8000, 7, 108000)
    assert (config.backlog, config.timeout_keep_alive, config.timeout_graceful_shutdown) == (11, 12, 13)
    assert (config.limit_max_requests, config.workers) == (14, 1)
    assert config.forwarded_allow_ips == ["10.0.0.1", "unix"]


@pytest.mark.parametrize(("theirs", "ours"), [("drop", "auto"), ("refuse", "drop"), ("dangerous", "keep")])
def test_header_map_becomes_underscored_headers(monkeypatch, theirs, ours):
    assert config_of(monkeypatch, header_map=theirs).underscored_headers == ours


def test_default_settings_become_default_limits(monkeypatch):
    config = config_of(monkeypatch)
    assert (config.limit_target_size, config.limit_head_fields, config.limit_head_size) == (4094, 100, 65536)
    assert config.limit_max_requests is None
    assert not config.is_ssl


def test_zero_settings_become_no_limit(monkeypatch):
    config = config_of(monkeypatch, limit_request_line=0, forwarded_allow_ips="*", max_requests_jitter=5)
    assert (config.limit_target_size, config.limit_head_size) == (2**31 - 1, 2**31 - 1)
    assert (config.forwarded_allow_ips, config.limit_max_requests) == ("*", None)


def test_max_requests_have_jitter(monkeypatch):
    limits = {config_of(monkeypatch, max_requests=10, max_requests_jitter=5).limit_max_requests for _ in range(100)}
    assert limits <= set(range(10, 16))
    assert len(limits) > 1
