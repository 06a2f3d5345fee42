"""Command line: `python -m tests.attacks.floods`, in the project's folder. Slow clients, and many of them.

Each attack runs on a server of its own, beside an honest client. The summary goes to stdout, and to `--output FILE`.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import resource
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from tests.attacks.outcome import Outcome
from tests.attacks.trial import LATEST, Honest, measure
from tests.support.results import provenance
from tests.support.server import APPS, PATIENCE, SOURCES, lacks, resident

RATE = 200
# Requests of the honest client over one connection.
REUSED = 10
# The server's address, from which the attackers connect. The honest client has its own, as it would in reality.
ADDRESS, HONEST = "127.0.0.1", "127.0.0.2"
MIB = 1 << 20
# The limit on a server's address space, in bytes, lest it take all memory of the machine.
MOST_MEMORY = 8 << 30
# The default of --ws-max-size.
LARGEST = 16 * MIB

LIMITS = "--limit-connections-per-address 100 --limit-body-rate 500"
TIMEOUTS = "--timeout-first-byte 5 --timeout-head 5 --timeout-body 5 --timeout-write 5"


class Server(NamedTuple):
    """`command` follows the interpreter. `{port}` stands for the port."""

    name: str
    command: str


class Flood(NamedTuple):
    """`attack` gets the port, the number of connections and the seconds. When these are over, it returns how many
    connections it has opened.

    A server needs `memory` bytes for what one client may ask of it.
    """

    name: str
    attack: Callable[[int, int, float], int]
    memory: int = 0


SERVERS = (
    Server("pronghorn", "-m pronghorn attacked:app --port {port} --no-access-log"),
    Server("pronghorn, limits", f"-m pronghorn attacked:app --port {{port}} --no-access-log {LIMITS} {TIMEOUTS}"),
    Server("uvicorn", "-m uvicorn attacked:app --port {port} --no-access-log"),
    Server("peregrine", "-m peregrine attacked:app --port {port}"),
)


# Attacks


def slow(*options: str, path: str = "/") -> Callable[[int, int, float], int]:
    """An attack by slowhttptest, all of whose connections are opened within a second."""

    def attack(port: int, connections: int, seconds: float) -> int:
        command = ["slowhttptest", *options, "-c", str(connections), "-r", str(connections), "-p", "5"]
        command += ["-l", str(max(1, round(seconds))), "-u", f"http://{ADDRESS}:{port}{path}"]
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report"
            command += ["-g", "-o", str(report)]
            # It ends by itself; without connections that are left, sooner.
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=seconds + PATIENCE / 2, check=True
            )
            # Its exit code is 0 even if the server refuses all connections: these are "Closed" in the report.
            with report.with_suffix(".csv").open() as file:
                return max(int(second["Connected"]) for second in csv.DictReader(file))

    return attack


def abandon(port: int, connections: int, seconds: float) -> int:
    """Hold so many connections without a byte; each is abandoned after a second at most, and replaced."""
    until = time.monotonic() + seconds
    opened = 0
    held: list[tuple[float, socket.socket]] = []
    while (now := time.monotonic()) < until:
        while held and held[0][0] < now:
            held.pop(0)[1].close()
        for _ in range(min(50, connections - len(held))):
            with contextlib.suppress(OSError):
                held.append((now + 1, socket.create_connection((ADDRESS, port), timeout=1)))
                opened += 1
        time.sleep(0.01)
    for _, each in held:
        each.close()
    return opened


def websockets(port: int, connections: int, seconds: float) -> int:
    """Hold so many WebSockets: one half is silent, the other sends ten messages of one byte a second."""
    return _talk(port, connections, seconds, b"", b"\x81\x81\0\0\0\0x", silent=2)


def bombs(port: int, connections: int, seconds: float) -> int:
    """Send messages of 16 KiB that are 16 MiB once decompressed, up to ten a second over each WebSocket."""
    deflater = zlib.compressobj(9, wbits=-15)
    payload = deflater.compress(bytes(LARGEST)) + deflater.flush(zlib.Z_SYNC_FLUSH)[:-4]
    message = b"\xc2\xfe%b\0\0\0\0%b" % (len(payload).to_bytes(2, "big"), payload)
    extension = b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
    return _talk(port, connections, seconds, extension, message)


def _talk(port: int, connections: int, seconds: float, field: bytes, message: bytes, silent: int = 1) -> int:
    """Hold so many WebSockets; one in `silent` of them sends `message` ten times a second, as far as the server reads.

    Those that end are opened again, at most 500 a second. Return how many the server has accepted.
    """
    handshake = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ) % field
    until = time.monotonic() + seconds
    opened = 0
    # The rest of the message that each is sending.
    held: dict[socket.socket, memoryview] = {}
    with selectors.DefaultSelector() as selector:
        while time.monotonic() < until:
            for _ in range(min(50, connections - len(held))):
                with contextlib.suppress(OSError):
                    made = socket.create_connection((ADDRESS, port), timeout=1)
                    made.sendall(handshake)
                    made.setblocking(False)
                    selector.register(made, selectors.EVENT_READ)
                    held[made] = memoryview(message)
            for key, _ in selector.select(0):
                made = cast("socket.socket", key.fileobj)
                with contextlib.suppress(BlockingIOError):
                    try:
                        received = made.recv(65536)
                    except ConnectionError:
                        received = b""
                    opened += received.startswith(b"HTTP/1.1 101 ")
                    if not received:
                        selector.unregister(made)
                        made.close()
                        del held[made]
            for made in list(held)[::silent]:
                with contextlib.suppress(OSError):
                    held[made] = held[made][made.send(held[made]) :] or memoryview(message)
            time.sleep(0.1)
    for each in held:
        each.close()
    return opened


FLOODS = (
    Flood("slow heads", slow("-H", "-i", "1")),
    Flood("slow bodies", slow("-B", "-i", "1", "-s", "8192", "-x", "10", path="/read")),
    Flood("slow reading", slow("-X", "-n", "1", "-z", "32", "-w", "512", "-y", "1024", path="/large")),
    Flood("abandoned connections", abandon),
    Flood("silent WebSockets, tiny messages", websockets),
    # A message, its parts while they are joined, the messages before and after it.
    Flood("WebSocket messages that become large", bombs, 5 * LARGEST),
)
SLOW = FLOODS[:3]


# The trial


@contextlib.contextmanager
def serving(server: Server, interpreter: str) -> Iterator[tuple[int, int]]:
    """Run a server; yield its port and process id."""
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            place = stack.enter_context(_started(server, interpreter))
            if place is not None:
                break
        else:
            raise AssertionError(f"{server.name} does not start")
        yield place


@contextlib.contextmanager
def _started(server: Server, interpreter: str) -> Iterator[tuple[int, int] | None]:
    """The same; None if it ends, perhaps because another process has taken the port."""
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    # Both addresses reach it.
    command = [interpreter, *shlex.split(server.command.format(port=port)), "--host", "0.0.0.0"]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{APPS}"}
    # Some servers have workers, which would survive it: they end as a group.
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as made:
        try:
            resource.prlimit(made.pid, resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
            yield (port, made.pid) if _listens(port, made) else None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(made.pid, signal.SIGKILL)


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as trying:
            # From the same address, it could connect to itself.
            trying.bind((HONEST, 0))
            if not trying.connect_ex((ADDRESS, port)):
                return True
        time.sleep(0.05)
    return False


def under(place: tuple[int, int], flood: Flood | None, connections: int, seconds: float, rate: int = RATE) -> Outcome:
    """Attack the server, unless `flood` is None, and measure an honest client meanwhile."""
    port, pid = place
    honest = HonestHTTP1(port, rate)
    with contextlib.closing(honest):
        for _ in range(100):
            honest.ask()
    hostile = partial(flood.attack, port, connections, seconds) if flood else None
    return measure(hostile, honest, seconds, partial(memory, pid))


class HonestHTTP1(Honest):
    """A client that sends `REUSED` requests over each connection."""

    def __init__(self, port: int, rate: int) -> None:
        super().__init__(rate)
        self._address = ADDRESS, port
        self._number = 0

    def ask(self) -> None:
        if self._connection is None:
            self._connection = socket.create_connection(self._address, timeout=LATEST, source_address=(HONEST, 0))
            self._number = 0
        self._connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = b""
        # The response is chunked.
        while not received.endswith(b"0\r\n\r\n"):
            more = self._connection.recv(65536)
            if not more:
                raise ConnectionError
            received += more
        if not received.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError
        self._number += 1
        if self._number == REUSED:
            self.close()


def memory(pid: int) -> int:
    """The resident set size of a process and its children in bytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(resident, (pid, *map(int, children))))


# The command


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.floods", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each attack; default: %(default)s")
    parser.add_argument("--connections", type=int, default=1000, help="of each attack; default: %(default)s")
    parser.add_argument("--python", default=sys.executable, metavar="FILE", help="the interpreter of the other servers")
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=[each.name for each in SERVERS],
        metavar="NAME",
        help="default: all that are installed",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the summary there too")
    options = parser.parse_args()
    if reason := lacks():
        sys.exit(f"tests.attacks.floods: {reason}")
    floods = possible()
    names = options.servers or [each.name for each in SERVERS]
    servers = [(each, python_of(each, options.python)) for each in SERVERS if each.name in names]
    missing = [each.name for each, python in servers if not has(each, python)]
    if missing and options.servers:
        parser.error(f"not installed: {', '.join(missing)}")
    servers = [(each, python) for each, python in servers if each.name not in missing]
    columns = {}
    for server, python in servers:
        columns[server.name] = column = {}
        for flood in (None, *floods):
            with serving(server, python) as place:
                outcome = under(place, flood, options.connections, options.seconds)
            column[flood.name if flood else "none"] = outcome
            print(server.name, flood.name if flood else "none", outcome, file=sys.stderr)
    command = shlex.join("FILE" if each == options.python else each for each in sys.argv[1:])
    text = "\n".join(report(columns, options.connections, command)) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text)


def possible() -> tuple[Flood, ...]:
    """The attacks that can run here. The others are named on stderr."""
    if shutil.which("slowhttptest"):
        return FLOODS
    print("without slowhttptest, left out:", ", ".join(each.name for each in SLOW), file=sys.stderr)
    return FLOODS[len(SLOW) :]


def report(columns: dict[str, dict[str, Outcome]], connections: int, command: str) -> list[str]:
    attacks = list(next(iter(columns.values())))
    return [
        "# Slow clients, and many of them",
        "",
        provenance(f"python -m tests.attacks.floods {command}", "compiled"),
        f"One worker. {os.cpu_count()} cores are for the server, the attackers and the honest client. {connections:,}",
        f"connections attack from one address. An honest client with another address sends {RATE} requests a second",
        f"meanwhile, {REUSED} over each connection. Each counts from the time when it was due, and fails",
        f"after {LATEST} seconds.",
        "",
        f"*pronghorn, limits* has `{LIMITS}",
        f"{TIMEOUTS}`, the others have their defaults. In each cell: p50 and p99 of the honest client's answered",
        "requests in milliseconds, its failed requests, growth of the server's memory in MiB. **Bold**: more than",
        "twice the p99 without an attack.",
        "",
        "| attack | " + " | ".join(columns) + " |",
        "| --- |" + " --- |" * len(columns),
        *[
            f"| {attack} | " + " | ".join(cell(column[attack], column["none"]) for column in columns.values()) + " |"
            for attack in attacks
        ],
        "",
        WHY,
    ]


WHY = """\
Where p99 is bold, it says as much about the machine as about the server: attackers, the honest client and the server
share its cores, and the attackers are busiest in the first second, in which they all connect.

Slow reading is another matter. Each connection asks for 4 MiB, of which the kernel would take 1.7 MB into its buffers,
though nobody reads. To copy these for all takes a server seconds, nearly all of them in the kernel, and the honest
client waits for its turn. pronghorn tells the kernel to take 64 KiB from clients that have read little.

In the last attack, each message of 16 KiB becomes 16 MiB. pronghorn decompresses about a megabyte in each iteration of
its event loop, so that others are served in between, and one message after another. No server can take more than 8 GiB
of the machine's memory."""


def cell(outcome: Outcome, quiet: Outcome) -> str:
    p99 = f"{outcome.p99:.2f}"
    if not outcome.p99 <= 2 * quiet.p99:
        p99 = f"**{p99}**"
    return f"{outcome.p50:.2f}, {p99}, {outcome.failures} failed, {outcome.grown / MIB:.0f} MiB"


def python_of(server: Server, others: str) -> str:
    return sys.executable if server.command.startswith("-m pronghorn") else others


def has(server: Server, python: str) -> bool:
    """Return whether the server is installed for this interpreter."""
    module = server.command.split()[1]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    return not subprocess.run([python, "-c", f"import {module}"], env=environment, check=False).returncode


if __name__ == "__main__":
    main()
