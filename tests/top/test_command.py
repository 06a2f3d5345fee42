"""`pronghorn top`: its options."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from pronghorn.cli import commands
from pronghorn.top import command
from tests.support.server import SOURCES


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands.main, ["top", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'PLACE'"),
        (["main:app"], "'main:app' is not HOST:PORT, [IPV6]:PORT or unix:PATH"),
        (["fd://3"], "'fd://3' is not HOST:PORT, [IPV6]:PORT or unix:PATH"),
        (["fd://metrics"], "'fd://metrics' is not HOST:PORT, [IPV6]:PORT or unix:PATH"),
        (["127.0.0.1:9000", "--interval", "0"], "0 is not in the range"),
        (["127.0.0.1:9000", "--interval", "nan"], "'nan' is not a valid integer"),
    ],
)
def test_invalid_options_are_refused(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_missing_tools_are_reported_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    done = run("127.0.0.1:9000")
    assert (done.exit_code, done.output) == (
        1,
        "Error: top needs prometheus_client, rich: pip install 'pronghorn[top]'\n",
    )


def test_server_that_does_not_run_is_an_error_without_a_terminal() -> None:
    pytest.importorskip("prometheus_client")
    pytest.importorskip("rich")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        place = f"127.0.0.1:{sock.getsockname()[1]}"
    done = run(place, "--once")
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: No answer from {place}: ")


def test_serving_does_not_import_top() -> None:
    script = "import sys, pronghorn.cli; sys.exit(any(name.startswith('pronghorn.top') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCES)}, check=True, timeout=60)
