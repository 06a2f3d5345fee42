"""h2load as the load over HTTP/2: its arguments, its report, and real runs if it is installed."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")

from bench import apps, h2load
from bench.h2load import H2Load
from bench.scenarios import SCENARIOS
from bench.servers import SERVERS
from pronghorn.bench import load
from pronghorn.bench.load import Load, LoadFailed
from tests.support.threads import serving

OUTPUT = """\
starting benchmark...
spawning thread #0: 8 total client(s).
Warm-up started for thread #0.
progress: 10% of clients started
Application protocol: h2c
Main benchmark duration is started for thread #0.

finished in 1.01s, 1000.00 req/s, 92.62KB/s
requests: 500 total, 756 started, 500 done, 500 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 500 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 46.39KB (47500) total, 33.20KB (34000) headers (space savings 29.73%), 5.54KB (5668) data
                     min         max         mean         sd        +/- sd
time for request:      191us      7.92ms      1.16ms       647us    90.22%
"""


def test_report_has_the_succeeded_requests() -> None:
    assert h2load.read(OUTPUT) == Load(500, 0.5, 47500, 0, 0, {})


def test_report_has_the_failed_requests() -> None:
    failed = OUTPUT.replace("0 failed, 0 errored, 0 timeout", "19 failed, 7 errored, 2 timeout")
    assert h2load.read(failed).errors == {"failed": 19, "errored": 7, "timeout": 2}


def test_report_without_an_answer_has_no_requests() -> None:
    seen = h2load.read(OUTPUT.replace("1000.00 req/s", "0.00 req/s").replace("500 succeeded", "0 succeeded"))
    assert seen.requests == 0


def test_another_protocol_is_reported() -> None:
    with pytest.raises(LoadFailed, match=r"h2load spoke http/1\.1"):
        h2load.read(OUTPUT.replace("protocol: h2c", "protocol: http/1.1"))


def test_http1_is_read_where_it_is_asked_for() -> None:
    output = OUTPUT.replace("protocol: h2c", "protocol: http/1.1")
    assert h2load.read(output, h2load.HTTP1).requests == 500


@pytest.mark.parametrize("line", ["Application protocol", "finished in", "requests:", "traffic:"])
def test_missing_line_is_reported(line: str) -> None:
    output = "".join(each for each in OUTPUT.splitlines(keepends=True) if not each.startswith(line))
    with pytest.raises(LoadFailed, match="no report in the output:\nstarting benchmark"):
        h2load.read(output)


def test_h2load_is_called_with_its_arguments() -> None:
    secure = H2Load(4, 16, (("accept", "*/*"), ("priority", "u=1, i")), secure=True)
    assert secure.arguments(8000, "/json", 3) == [
        *("-t1", "-c4", "-m16", "-D3s", "--npn-list=h2"),
        *("-H", "accept: */*", "-H", "priority: u=1, i", "https://127.0.0.1:8000/json"),
    ]


def test_upload_is_read_from_a_file() -> None:
    *_, option, path, url = H2Load(upload=70000).arguments(8000, "/", 1)
    assert (option, url) == ("-d", "http://127.0.0.1:8000/")
    assert Path(path).read_bytes() == b"x" * 70000


def test_missing_h2load_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadFailed, match="h2load is not installed: it is part of nghttp2-client"):
        H2Load().program(tmp_path)
    assert h2load.version() == {}


def test_scenarios_load_servers_over_http2() -> None:
    scenarios = [each for each in SCENARIOS if isinstance(each.load, H2Load)]
    assert scenarios
    for each in scenarios:
        assert isinstance(each.load, H2Load)
        assert each.subject in each.servers
        assert {SERVERS[name].secure for name in each.servers} == {each.load.secure}


def seen_by(client: H2Load, port: int, directory: Path) -> Load:
    """Load the server at `port` for a second."""
    if shutil.which(h2load.PROGRAM) is None:
        pytest.skip("h2load is not installed")
    arguments = client.arguments(port, "/", 1)
    return load.run(client.program(directory), arguments, 1, min(os.sched_getaffinity(0)), h2load.read)


@pytest.mark.parametrize(
    ("app", "client"),
    [
        (apps.plain, H2Load(2, 4, fields=(("accept", "*/*"),))),
        (apps.length, H2Load(2, 2, upload=100000)),
    ],
    ids=["get", "upload"],
)
def test_answers_are_counted(app: Any, client: H2Load, tmp_path: Path) -> None:
    answered = 0

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal answered
        answered += 1
        assert scope["http_version"] == "2"
        await app(scope, receive, send)

    with serving(counting, http2=True, lifespan="off") as process:
        seen = seen_by(client, process.port, tmp_path)
    assert not seen.errors
    assert 0 < seen.requests <= answered <= seen.requests + 2 * client.connections * client.streams
    assert seen.seconds == pytest.approx(1, abs=0.1)
    assert seen.bytes > 0


def test_failed_answers_are_errors(tmp_path: Path) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body"})

    with serving(failing, http2=True, lifespan="off") as process:
        seen = seen_by(dataclasses.replace(H2Load(), connections=1, streams=1), process.port, tmp_path)
    assert seen.requests == 0
    assert seen.errors["failed"] > 0
