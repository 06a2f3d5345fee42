"""`pronghorn check`: its findings, output and exit code."""

from __future__ import annotations

import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from pronghorn.cli import commands
from pronghorn.cli.check import check
from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.listen import tls_server
from tests.support.server import APPS, SOURCES

if TYPE_CHECKING:
    from tests.support.certificates import Certificates


async def app(scope: Any, receive: Any, send: Any) -> None: ...


USAGES = ("[OPTIONS] APP", "check [OPTIONS] APP", "bench [OPTIONS] APP", "top [OPTIONS] PLACE")

pytestmark = pytest.mark.usefixtures("loggers")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in its own process, with tests/apps as the working directory."""
    command = [sys.executable, "-m", "pronghorn", *arguments]
    environment = {"PYTHONPATH": str(SOURCES), "PYTHONWARNINGS": "error"}
    return subprocess.run(command, cwd=APPS, env=environment, capture_output=True, text=True, timeout=60)


def findings(capsys: pytest.CaptureFixture[str], **parameters: Any) -> dict[str, str]:
    check(app, log_config=None, **{"loop": "asyncio", **parameters})
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_report_has_line_for_each_finding() -> None:
    done = run("check", "lifespan:whole", "--loop", "asyncio", "--http", "h11", "--limit-concurrency", "7")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:6] == [
        "application  lifespan:whole (asgi3)",
        "address      http://127.0.0.1:8000",
        "workers      1",
        "limits       --limit-concurrency 7",
        "wire         interpreted",
        "loop         asyncio",
    ]
    said = done.stderr.splitlines()
    assert said.index("starting") < said.index("stopping")
    assert said[-1] == "INFO:     Application shutdown complete."


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lifespan:missing"], 'ERROR:    Error loading ASGI app. Attribute "missing" not found in module "lifespan".'),
        (["lifespan:says_no"], "ERROR:    Application startup failed. Exiting."),
        (["lifespan:stop_fails"], "ERROR:    The application starts, but fails to shut down."),
        (["lifespan:whole", "--loop", "no:loop"], "ERROR:    Error loading custom loop setup function. "),
    ],
    ids=str,
)
def test_application_that_cannot_be_served_ends_with_3(arguments: list[str], line: str) -> None:
    done = run("check", *arguments)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith(line)
    assert not done.stdout


def test_import_string_of_module_check_is_application() -> None:
    """There is no module `check`, so the server refuses it."""
    result = CliRunner().invoke(commands.main, ["--no-use-colors", "check:app"])
    assert result.exit_code == 3
    assert result.output.startswith('ERROR:    Error loading ASGI app. Could not import module "check".')


def test_application_may_come_from_environment() -> None:
    result = CliRunner().invoke(commands.main, ["check"], env={"PRONGHORN_APP": "missing:app"})
    assert result.exit_code == 3
    assert 'Could not import module "missing".' in result.output


def test_wrong_value_is_a_usage_error_of_the_command() -> None:
    result = CliRunner().invoke(commands.main, ["check", "main:app", "--port", "70000"])
    assert result.exit_code == 2
    assert result.output.startswith("Usage: pronghorn check [OPTIONS] APP\n")


def test_help_lists_command_and_its_options() -> None:
    shown = CliRunner().invoke(commands.main, ["--help"]).output
    assert all(f"pronghorn {each}\n" in shown for each in USAGES)
    text = CliRunner().invoke(commands.main, ["check", "--help"]).output
    assert text.startswith("Usage: pronghorn check [OPTIONS] APP\n")
    assert "\nTimeouts, in seconds:\n" in text


@pytest.mark.parametrize(
    ("parameters", "address"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "::1", "port": 81}, "http://[::1]:81"),
        ({"host": ""}, "http://*:8000"),
        ({"port": 0}, "http://127.0.0.1, on a free port"),
        (
            {"bind": ["[::1]:81", "unix:/tmp/s", "fd://3", "fd://web"]},
            "http://[::1]:81, unix socket /tmp/s, descriptor 3, socket web from systemd",
        ),
        ({"uds": "/tmp/s"}, "unix socket /tmp/s"),
        ({"fd": 3}, "descriptor 3"),
    ],
    ids=str,
)
def test_address_is_reported(capsys: pytest.CaptureFixture[str], parameters: dict[str, Any], address: str) -> None:
    assert findings(capsys, **parameters)["address"] == address


def test_limits_other_than_defaults_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys)["limits"] == "the defaults"
    assert findings(capsys, timeout_head=0, ws_max_size=9)["limits"] == "--ws-max-size 9, --timeout-head 0"


def test_accelerators_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys, ws_per_message_deflate=False)["deflate"] == "off"
    assert findings(capsys)["deflate"] in ("isal", "zlib")
    assert findings(capsys)["wire"] in ("compiled", "interpreted", "interpreted, heads by httptools")
    assert findings(capsys)["TLS"] == "off"


def test_tls_engine_is_reported(capsys: pytest.CaptureFixture[str], certificates: Certificates) -> None:
    files = {"ssl_certfile": certificates.certificate, "ssl_keyfile": certificates.key}
    found = findings(capsys, **files)
    assert found["address"] == "https://127.0.0.1:8000"
    served = Config(app, log_config=None, **files)
    served.load()
    assert found["TLS"] == f"{tls_server.engine(served)}, {ssl.OPENSSL_VERSION}"
    of_ones_own = findings(capsys, **files, ssl_context_factory=lambda config, default: default())
    assert of_ones_own["TLS"] == f"ssl, {ssl.OPENSSL_VERSION}"
    with pytest.raises(StartupError):
        check(app, log_config=None, **files | {"ssl_keyfile": certificates.other_key})


def test_names_and_hsts_are_reported_with_tls(capsys: pytest.CaptureFixture[str], certificates: Certificates) -> None:
    pair = f"{certificates.certificate},{certificates.key}"
    sni = [f"a.example={pair}", f"*.B.example={pair}"]
    files = {"ssl_certfile": certificates.certificate, "ssl_keyfile": certificates.key}
    assert findings(capsys, **files, ssl_sni=sni, hsts=0)["TLS"].endswith(", SNI a.example, SNI *.b.example, HSTS 0 s")


def test_redirect_is_reported(capsys: pytest.CaptureFixture[str], certificates: Certificates) -> None:
    files = {"ssl_certfile": certificates.certificate, "ssl_keyfile": certificates.key}
    found = findings(capsys, **files, https_redirect=80, bind=["127.0.0.1:443", "[::1]:443"])
    assert found["redirect"] == "http://127.0.0.1:80, http://[::1]:80"
    assert findings(capsys, **files)["redirect"] == "off"


@pytest.mark.parametrize(
    ("parameters", "flags"),
    [
        ({"port": 8443, "https_redirect": 8443}, "The server's address and --https-redirect 8443"),
        ({"port": 8443, "metrics_bind": "127.0.0.1:8443"}, "The server's address and --metrics-bind 127.0.0.1:8443"),
        ({"bind": ["127.0.0.1:8443"] * 2}, "--bind 127.0.0.1:8443 and --bind 127.0.0.1:8443"),
    ],
    ids=str,
)
def test_overlap_is_refused(certificates: Certificates, parameters: dict[str, Any], flags: str) -> None:
    with pytest.raises(StartupError, match=f"{flags} overlap: remove one of them"):
        check(app, log_config=None, **certificates.parameters, **parameters)


def test_redirect_to_two_ports_is_refused(certificates: Certificates) -> None:
    bind = ["127.0.0.1:9443", "127.0.0.2:8443"]
    with pytest.raises(StartupError, match=r"--https-redirect needs one port .* which has 8443, 9443\."):
        check(app, log_config=None, **certificates.parameters, https_redirect=80, bind=bind)


@pytest.mark.parametrize("trusted", ["10.0.0.0/8,unix", ["10.0.0.0/8", "unix"]], ids=["text", "list"])
def test_proxy_protocol_is_reported(capsys: pytest.CaptureFixture[str], trusted: Any) -> None:
    assert findings(capsys, forwarded_allow_ips=trusted)["PROXY"] == "off"
    found = findings(capsys, proxy_protocol=True, forwarded_allow_ips=trusted)
    assert found["PROXY"] == "on, from 10.0.0.0/8,unix"


def test_health_path_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys)["health"] == "off"
    assert findings(capsys, health_path="/healthz")["health"] == "/healthz"


def test_number_of_workers_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys, workers=3)["workers"] == "3"
    assert findings(capsys, reload=True)["workers"] == "1, restarted when a file changes"
    with pytest.raises(StartupError, match="cannot be sent to worker processes"):
        check(lambda: app, log_config=None, workers=2)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"https_redirect": 0}, "--https-redirect needs TLS"),
        ({"proxy_protocol": True, "forwarded_allow_ips": ""}, "--proxy-protocol trusts no proxy"),
        ({"metrics_bind": "127.0.0.1:0"}, "--metrics-bind needs prometheus_client"),
    ],
    ids=str,
)
def test_listener_that_lacks_what_it_needs_is_refused(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(StartupError, match=reason):
        check(app, log_config=None, **parameters)


def test_metrics_without_effect_need_no_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert findings(capsys, metrics_bind="127.0.0.1:0", reload=True)["TLS"] == "off"


@pytest.mark.parametrize(
    ("words", "incomplete", "completed"),
    [
        ([], "ch", ["check"]),
        ([], "be", ["bench"]),
        ([], "to", ["top"]),
        (["top"], "--int", ["--interval"]),
        (["bench", "main:app"], "--app", ["--app-dir"]),
        ([], "--timeout-h", ["--timeout-head"]),
        (["main:app"], "--limit-body-s", ["--limit-body-size"]),
        (["check"], "ch", []),
        (["check"], "--lifes", ["--lifespan"]),
        (["check", "--lifespan"], "o", ["on", "off"]),
        (
            ["--version"],
            "--rel",
            ["--reload", "--reload-dir", "--reload-delay", "--reload-include", "--reload-exclude"],
        ),
    ],
)
def test_shell_completes_commands_and_options(words: list[str], incomplete: str, completed: list[str]) -> None:
    shell = ShellComplete(commands.main, {}, "pronghorn", "_PRONGHORN_COMPLETE")
    assert [each.value for each in shell.get_completions(words, incomplete)] == completed
