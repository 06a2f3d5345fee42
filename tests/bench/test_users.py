"""The shop of the benchmarks, its users, and their figures."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("psutil")

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench import shop
from bench.exchange import Exchange
from bench.report import Report
from bench.users import figures, slices
from bench.users.report import METHOD, outcome_of, sections
from bench.users.slices import Crowd, LocustFailed, Mark, Request, Visits
from pronghorn.bench.outcome import Row
from pronghorn.bench.process import CPU, Process
from pronghorn.bench.rounds import Round
from pronghorn.bench.servers import Server
from pronghorn.bench.session import Session
from tests.support import server as servers
from tests.support.figures import session

ACTIONS = {
    *("GET /products", "GET /products/[id]", "GET /search", "POST /orders", "GET /orders/[id]"),
    *("PUT /products/[id]/picture", "GET /export.csv", "WS /chat/[room] open", "WS /chat/[room] message"),
}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with servers.thread(shop.app) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


def test_catalog_has_pages(client: httpx.Client) -> None:
    page = client.get("/products", params={"page": 2}).json()
    assert [each["id"] for each in page["products"]] == list(range(21, 41))
    assert (page["page"], page["pages"]) == (2, 50)


def test_product_is_shown(client: httpx.Client) -> None:
    assert client.get("/products/1000").json()["id"] == 1000


def test_search_finds_all_words(client: httpx.Client) -> None:
    found = client.get("/search", params={"q": "blue kettle"}).json()
    assert found
    assert all(each["name"].startswith("Blue Kettle ") for each in found)


def test_order_is_placed_and_kept(client: httpx.Client) -> None:
    price = client.get("/products/7").json()["price"]
    cart = {"customer": "Ada", "lines": [{"product": 7, "quantity": 3}]}
    response = client.post("/orders", json=cart)
    order = response.json()
    assert (response.status_code, order["total"], order["lines"]) == (201, 3 * price, cart["lines"])
    assert client.get(f"/orders/{order['id']}").json() == order


def test_oldest_order_is_forgotten(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "KEPT_ORDERS", 1)
    shop.orders.clear()
    cart = {"customer": "Ada", "lines": [{"product": 7, "quantity": 3}]}
    first, second = (client.post("/orders", json=cart).json()["id"] for _ in range(2))
    statuses = [client.get(f"/orders/{number}").status_code for number in (first, second)]
    assert statuses == [404, 200]


def test_upload_is_digested(client: httpx.Client) -> None:
    picture = bytes(range(256)) * 512
    response = client.put("/products/5/picture", content=picture).json()
    assert response == {"product": 5, "size": len(picture), "sha256": hashlib.sha256(picture).hexdigest()}


def test_export_is_streamed_whole(client: httpx.Client) -> None:
    with client.stream("GET", "/export.csv") as response:
        lines = list(response.iter_lines())
    assert response.headers["transfer-encoding"] == "chunked"
    assert (lines[0], len(lines)) == ("id,name,price,tags", 1 + shop.PRODUCTS)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/products/1001", b"", 404),
        ("GET", "/products?page=0", b"", 422),
        ("POST", "/orders", b'{"customer":"Ada","lines":[]}', 422),
        ("POST", "/orders", b'{"customer":"Ada","lines":[{"product":1001,"quantity":1}]}', 404),
        ("PUT", "/products/1/picture", bytes(shop.LARGEST_PICTURE + 1), 413),
    ],
    ids=["no product", "no page", "nothing ordered", "no such thing ordered", "picture too large"],
)
def test_wrong_requests_are_refused(client: httpx.Client, method: str, path: str, body: bytes, status: int) -> None:
    response = client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == status


def room(client: httpx.Client, name: str) -> connect:
    return connect(f"ws://{client.base_url.netloc.decode()}/chat/{name}", proxy=None)


def test_message_reaches_everybody_in_its_room(client: httpx.Client) -> None:
    said = {"sender": "Ada", "text": "how much is the kettle?"}

    async def hear(socket: ClientConnection) -> Any:
        return json.loads(await socket.recv())

    async def chat() -> None:
        async with room(client, "1") as one, room(client, "1") as two, room(client, "2") as elsewhere:
            await one.send(json.dumps(said))
            assert await hear(one) == await hear(two) == said
            await elsewhere.send(json.dumps(said | {"text": "hello"}))
            assert (await hear(elsewhere))["text"] == "hello"

    asyncio.run(asyncio.wait_for(chat(), servers.PATIENCE))


def test_invalid_message_ends_the_chat(client: httpx.Client) -> None:
    async def chat() -> int | None:
        async with room(client, "3") as socket:
            await socket.send("hello")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        return closed.value.rcvd.code if closed.value.rcvd else None

    assert asyncio.run(asyncio.wait_for(chat(), servers.PATIENCE)) == 1008


@pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")
def test_users_are_served_without_a_failure(tmp_path: Path) -> None:
    with session(tmp_path).running("pronghorn", "bench.shop:app") as process:
        process.connect().close()
        result = slices.run(process, Crowd(44, 0.1), session(tmp_path, seconds=2), tmp_path / "visit")
    assert not result.errors, (tmp_path / "visit.log").read_text()
    log = slices.visits(result).log
    assert {each.action for each in log} == ACTIONS
    assert [each for each in log if each.error is not None] == []
    assert {path.name for path in tmp_path.glob("visit*")} >= {
        "visit.html",
        "visit_stats.csv",
        "visit_stats_history.csv",
    }


@pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")
def test_users_of_two_locust_workers_are_served_without_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = [sys.executable, "-m", "locust", "--locustfile", str(slices.FILES[0])]
    with contextlib.ExitStack() as ending, (tmp_path / "log").open("wb") as log:
        process = ending.enter_context(session(tmp_path).running("pronghorn", "bench.shop:app"))
        process.connect().close()

        def start(*options: str) -> subprocess.Popen[bytes]:
            locust = subprocess.Popen([*words, *options], cwd=tmp_path, stdout=log, stderr=log)
            ending.callback(locust.wait)
            ending.callback(locust.kill)
            return locust

        place = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "2")
        load = ("--users", "20", "--spawn-rate", "20", "--run-time", "2", "--think", "0.1")
        host = f"http://127.0.0.1:{process.port}"
        master = start("--master", "--headless", "--host", host, "--csv", "visit", *place, *load)
        workers = [start("--worker", "--master-port", port) for _ in range(2)]
        codes = [each.wait(servers.PATIENCE) for each in (master, *workers)]
    assert codes == [0, 0, 0], (tmp_path / "log").read_text()
    assert "2 workers connected" in (tmp_path / "log").read_text()
    with (tmp_path / "visit_stats.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {f"{row['Type']} {row['Name']}" for row in rows} <= {*ACTIONS, " Aggregated"}
    assert int(rows[-1]["Request Count"]) > 20
    assert int(rows[-1]["Failure Count"]) == 0


def write(path: Path, **changes: Any) -> Path:
    """Write a record like the recorder's, with a request every half second."""
    requests = [[10 + index / 2, "GET /", 2.0 + index, None, index / 100] for index in range(20)]
    path.write_text(json.dumps({"spawned": 9.0, "crashes": [], "requests": requests} | changes))
    return path


MARKS = [Mark(float(second), CPU(second / 10, second / 100), second / 2) for second in range(30)]


def test_slice_lies_between_two_marks(tmp_path: Path) -> None:
    result = slices.evaluate(MARKS, Crowd(1, 0.1), session(tmp_path, seconds=4), write(tmp_path / "record"))
    visits = slices.visits(result)
    assert (visits.start, result.seconds, visits.requests) == (10, 4, 8)
    assert visits.log[0] == Request(10, "GET /", 2.0, None)
    assert result.server.total == pytest.approx(0.44)
    assert result.load.total == pytest.approx(0.07)
    assert result.others == pytest.approx(2 - 0.44 - 0.07)
    assert (result.per_second, result.cpu_us) == (2, pytest.approx(55_000))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"crashes": ["KeyError('id')"]}, "a user crashed: KeyError"),
        ({"spawned": None}, "not all users"),
        ({"spawned": 28.0}, "too short"),
        ({"requests": []}, "no request"),
    ],
    ids=["crash", "not all there", "short", "idle"],
)
def test_void_slice_has_a_reason(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(LocustFailed, match=problem):
        slices.evaluate(MARKS, Crowd(1, 0.1), session(tmp_path, seconds=4), write(tmp_path / "record", **changes))


def visit(cpu: float, failed: int = 0, busy: float = 0.0) -> Round:
    """Ten requests a second for two seconds, of which the first ones failed."""
    requests = [
        Request(5 + index / 10, "GET /", 1.0 + index, "it broke" if index < failed else None) for index in range(20)
    ]
    return Round(Visits.of(5.0, 2.0, requests), 2.0, CPU(cpu, 0), CPU(busy, 0), 0.0, "")


VOID = Round(None, 0.0, CPU(0, 0), CPU(0, 0), 0.0, "it hung")


def rows_of(**slices: list[Round]) -> dict[str, Row]:
    """The rows of servers, compared with pronghorn."""
    return {name: figures.row(each, slices["pronghorn"]) for name, each in slices.items()}


def test_figures_cover_all_rounds_that_count() -> None:
    rows = rows_of(pronghorn=[visit(0.1), visit(0.2)], uvicorn=[visit(0.3, failed=2), VOID])
    ours, theirs = rows["pronghorn"], rows["uvicorn"]
    assert ours["cpu_us"] == pytest.approx(7500)
    assert ours["cpu_ratio"] is None
    assert theirs["cpu_ratio"] == pytest.approx(3)
    assert (theirs["requests"], theirs["failures"], theirs["void"]) == (20, 2, ["it hung"])
    assert theirs["errors"] == {"GET /: it broke": 2}
    assert theirs["actions"]["GET /"]["percentiles"] == [10, 19, 19]
    assert [[second["requests"] for second in course] for course in theirs["course"]] == [[10, 10], []]


def test_remark_names_the_limit_of_each_server() -> None:
    rows = rows_of(pronghorn=[visit(1.9)], uvicorn=[visit(0.1, busy=1.9)])
    assert [remark.partition(":")[0] for remark in outcome_of(rows).notes] == [
        "The server was the limit of pronghorn, whose core was full",
        "Locust was the limit of uvicorn",
    ]
    assert outcome_of(rows_of(pronghorn=[visit(0.1)])).notes == ["Neither a server nor locust was the limit."]


def test_users_visit_every_server_in_every_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from bench.users.command import Visit

    files = []

    def run(process: Process, crowd: Crowd, session: Session, path: Path) -> Round:
        files.append(path.name)
        return visit(0.1)

    monkeypatch.setattr(slices, "run", run)
    servers = {name: Server(name, "-m bench.floor --port {port}", ()) for name in ("pronghorn", "floor")}
    visited = Visit(Crowd(1, 0.1), session(tmp_path, servers=servers, rounds=2, warm_up=0))
    monkeypatch.setattr(Exchange, "check", lambda self, process: None)
    visited.run()
    assert files == ["pronghorn-1", "floor-1", "pronghorn-2", "floor-2"]
    assert visited.rows["floor"]["cpu_ratio"] == 1


def report() -> Report:
    rows = rows_of(pronghorn=[visit(0.1)], uvicorn=[visit(0.3, failed=2)], weft=[VOID])
    return Report(
        title="Users",
        date="2026-01-01",
        command="python -m bench.users",
        machine={},
        versions={},
        text=METHOD,
        method=dict.fromkeys(("users", "think", "rounds", "seconds", "server_core", "load_core"), 1),
        missing={},
        outcomes=[outcome_of(rows)],
        sections=sections(rows),
        started={"pronghorn": "python"},
    )


def test_report_has_every_server_and_action() -> None:
    text = report().markdown()
    assert "| weft |  |  |  |  |  |  |  |  |  |  |  | it hung |" in text
    assert "| GET / | 10.0 / 19.0 / 19.0 | 10.0 / 19.0 / 19.0 |  |" in text
    assert "| GET / | 20 | 20 (2) |  |" in text
    assert "- uvicorn: GET /: it broke: 2" in text
    assert METHOD.splitlines()[0].format_map(report().method) in text
    assert json.loads(report().json())["scenarios"][0]["servers"]["uvicorn"]["failures"] == 2


def test_charts_name_every_server() -> None:
    pytest.importorskip("matplotlib")
    from bench.users import chart

    rows = {name: row for name, row in report().outcomes[0].rows.items() if row["requests"]}
    for draw in (chart.over_time, chart.costs):
        svg = draw(rows, "Users", "a note", "pronghorn").svg()
        assert all(f">{text}</text>" in svg for text in ("Users", "a note", *rows))
