"""`pronghorn bench`: its options, servers and cores, and a whole run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("rich")

import psutil
from click.testing import CliRunner
from click.testing import Result as Run
from rich.console import Console

from pronghorn.bench import application, command, competitors, cores
from pronghorn.bench.application import Plan
from pronghorn.bench.process import ServerFailed
from pronghorn.bench.request import Request
from pronghorn.bench.result import Result
from pronghorn.bench.servers import SERVERS
from pronghorn.cli import commands
from tests.support.figures import result
from tests.support.server import APPS, PATIENCE, SOURCES


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Plan | None, Run]]:
    """Run the command with some arguments; return its plan, if any, and its result."""

    def ask(*arguments: str) -> tuple[Plan | None, Run]:
        plans: list[Plan] = []

        def measure(plan: Plan, console: Console) -> Result:
            plans.append(plan)
            return result()

        monkeypatch.setattr(application, "measure", measure)
        done = CliRunner().invoke(commands.main, ["bench", *arguments])
        return (plans[0] if plans else None), done

    return ask


def test_plan_has_the_documented_defaults(asked: Any) -> None:
    plan, done = asked("main:app")
    assert plan == Plan("main:app", Request("GET", ("/",), [], b""), None, 64, 5, 3, Path(), False)
    assert done.exit_code == 0, done.output


def test_plan_follows_the_options(asked: Any, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"\x00\xff")
    plan, done = asked(
        *("main:make", "--factory", "--against", "granian, uvicorn,granian", "--path", "/a?b=%20", "--path", "/c"),
        *("--method", "PUT", "--header", "X-A: 1", "--header", "Host:b", "--body-file", str(body)),
        *("--connections", "1", "--rounds", "2", "--duration", "4", "--app-dir", str(tmp_path)),
    )
    request = Request("PUT", ("/a?b=%20", "/c"), [("X-A", "1"), ("Host", "b")], b"\x00\xff")
    assert plan == Plan("main:make", request, ("granian", "uvicorn"), 1, 2, 4, tmp_path, True), done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["main"], "'main' must have the form module:attribute"),
        (["main:app", "--against", "uvicorn,apache"], "apache: not one of uvicorn"),
        (["main:app", "--against", "pronghorn"], "pronghorn: not one of uvicorn"),
        (["main:app", "--path", "items"], "'items' must begin with a slash"),
        (["main:app", "--path", "/ä"], "'/ä' must begin with a slash and be percent-encoded"),
        (["main:app", "--path", "/a\r\nb"], "must begin with a slash"),
        (["main:app", "--header", "X"], "'X' must have the form Name:Value"),
        (["main:app", "--header", "X:a\nb"], "must have the form Name:Value"),
        (["main:app", "--header", "connection:close"], "connection is set by the load"),
        (["main:app", "--method", "HEAD"], "'HEAD' is not one of"),
        (["main:app", "--body", "a", "--body-file", __file__], "--body and --body-file cannot be combined"),
        (["main:app", "--html", "/nowhere/at/all.html"], "directory /nowhere/at does not exist"),
        (["main:app", "--rounds", "0"], "0 is not in the range"),
    ],
)
def test_invalid_options_are_refused(asked: Any, arguments: list[str], message: str) -> None:
    plan, done = asked(*arguments)
    assert plan is None
    assert done.exit_code == 2
    assert message in done.output


def test_missing_tools_are_reported_with_the_extra(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in ("rich", "matplotlib") else name)
    _, done = asked("main:app")
    assert (done.exit_code, done.output) == (1, "Error: bench needs rich: pip install 'pronghorn[bench]'\n")
    _, done = asked("main:app", "--html", "x.html")
    assert done.output == "Error: bench needs rich, matplotlib: pip install 'pronghorn[bench]'\n"


def test_every_figure_is_written(asked: Any, tmp_path: Path) -> None:
    _, done = asked("main:app", "--json", str(tmp_path / "x.json"))
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "x.json").read_text())["rows"]["uvicorn"]["per_second"] == 50_000


def test_failure_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(plan: Plan, console: Console) -> Result:
        raise ServerFailed("pronghorn exited with status 3\nits log")

    monkeypatch.setattr(application, "measure", measure)
    done = CliRunner().invoke(commands.main, ["bench", "main:app"])
    assert (done.exit_code, done.output) == (1, "Error: pronghorn exited with status 3\nits log\n")


def test_serving_does_not_import_bench() -> None:
    script = "import sys, pronghorn.cli; sys.exit(any(name.startswith('pronghorn.bench') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCES)}, check=True, timeout=60)


def test_missing_servers_are_reported_with_the_command_to_install_them() -> None:
    chosen = [SERVERS[name] for name in ("pronghorn", "uvicorn", "granian")]
    assert competitors.lacking(chosen, {"httptools", "granian"}) == {
        "uvicorn": "not installed: httptools; pip install 'uvicorn[standard]'",
        "granian": f"not installed: granian; pip install {SERVERS['granian'].package}",
    }


def test_servers_get_the_environment_without_their_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "UVICORN_WORKERS", "PRONGHORN_PURE", "WEB_CONCURRENCY", "GRANIAN_LOOP"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    environment = competitors.environment(tmp_path)
    assert environment["DATABASE_URL"] == "1"
    assert environment["PYTHONPATH"] == f"{tmp_path}{os.pathsep}elsewhere"
    assert environment["PRONGHORN_CONFIG"] == os.devnull
    assert not {"UVICORN_WORKERS", "PRONGHORN_PURE", "WEB_CONCURRENCY", "GRANIAN_LOOP"} & environment.keys()


def test_servers_run_on_asyncio_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    server = competitors.known()["uvicorn"]
    assert "--loop asyncio" in server.arguments
    assert "uvloop" not in server.needs


def test_factory_is_called_by_a_generated_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert competitors.made_by("argparse:ArgumentParser", tmp_path) == "pronghorn_bench_app:app"
    namespace: dict[str, Any] = {}
    exec((tmp_path / "pronghorn_bench_app.py").read_text(), namespace)
    assert type(namespace["app"]).__name__ == "ArgumentParser"


def test_command_lines_have_no_placeholders() -> None:
    line = SERVERS["uvicorn"].command_line("main:app", "PORT")
    assert line.startswith("python -m uvicorn main:app --port PORT ")
    assert "{" not in line


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux")
@pytest.mark.parametrize(
    ("usable", "sharing", "chosen"),
    [
        ({0}, {}, cores.Cores(None, None)),
        ({0, 1}, {}, cores.Cores(0, 1)),
        ({0, 1}, {0: {0, 1}}, cores.Cores(0, 1)),
        ({0, 1, 2, 3}, {0: {0, 1}}, cores.Cores(0, 2, frozenset({3}))),
        ({4, 6, 9}, {}, cores.Cores(4, 6, frozenset({9}))),
    ],
    ids=["one", "two", "two that share", "four", "some"],
)
def test_cores_are_chosen_without_shared_siblings(
    monkeypatch: pytest.MonkeyPatch, usable: set[int], sharing: dict[int, set[int]], chosen: cores.Cores
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: usable)
    monkeypatch.setattr(cores, "siblings", lambda core: sharing.get(core, {core}))
    assert cores.choose() == chosen


def test_ranges_of_cores_are_expanded() -> None:
    assert list(cores.numbers(["0-2", "5"])) == [0, 1, 2, 5]


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command on an application of tests/apps, beside uvicorn."""
    for each in ("uvloop", "uvicorn", "websockets"):
        pytest.importorskip(each)
    options = ["--against", "uvicorn", "--connections", "4"]
    command = [sys.executable, "-m", "pronghorn", "bench", "lifespan:whole", *options]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=APPS,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_whole_run_prints_and_writes_its_figures(tmp_path: Path) -> None:
    with running("--rounds", "1", "--duration", "1", "--json", str(tmp_path / "x.json")) as process:
        shown, _ = process.communicate(timeout=120)
    assert process.returncode == 0, shown
    measured = json.loads((tmp_path / "x.json").read_text())
    assert set(measured["rows"]) == {"pronghorn", "uvicorn"}
    for figures in measured["rows"].values():
        assert figures["per_second"] > 0
        assert figures["cpu_us"] > 0
        assert figures["rss"] > 0
    assert "pronghorn against uvicorn" in shown


def test_sigterm_ends_the_servers() -> None:
    with running() as process:
        assert process.stdout is not None
        for _ in range(2):  # printed before the servers start
            assert process.stdout.readline()
        servers: list[psutil.Process] = []
        deadline = time.monotonic() + 60
        while len(servers) < 2 and time.monotonic() < deadline:
            servers = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        _, alive = psutil.wait_procs(servers, timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert len(servers) >= 2
    assert not alive
