"""A real server with uvloop and real connections under callgrind: the instructions of its process, in user space.

Every run has the same load: all connections send a request, then all answers are read, and so on.
"""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pronghorn.bench import certificate
from pronghorn.bench.certificate import CertificateFailed

from .callgrind import ROOT, CountFailed, counting, environment, parse
from .replay import CONTENT, UPGRADE, masked

CONNECTIONS, WARM_UP, ROUNDS = 64, 10, 20
REQUESTS = CONNECTIONS * ROUNDS
# The server takes fifty times as long as usual, and must not time out.
OPTIONS = (
    "--workers 1 --loop uvloop --interface asgi3 --lifespan off --no-access-log --log-level warning"
    " --timeout-keep-alive 600 --ws-ping-interval 0"
)
SECONDS = 120
OPENSSL = "openssl"


def get(target: str) -> bytes:
    """A GET without more fields than Host."""
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n".encode()


@dataclass(frozen=True)
class Scenario:
    """`request` is sent again and again, `opening` once before; each answer ends with `answer`.

    It needs `libraries`, and the counts depend on their versions.
    """

    request: bytes
    answer: bytes
    libraries: tuple[str, ...] = ("uvloop",)
    opening: bytes = b""
    secure: bool = False


HELLO = b"Hello, world!"
MARK = get("/mark")
SCENARIOS = {
    "plain": Scenario(get("/plain"), HELLO),
    "starlette": Scenario(get("/json"), b'{"message":"Hello, world!"}', ("uvloop", "starlette")),
    "sleep": Scenario(get("/sleep"), HELLO),
    "websocket": Scenario(masked(CONTENT), CONTENT, opening=UPGRADE.replace(b"GET / ", b"GET /websocket ")),
    "tls": Scenario(get("/plain"), HELLO, ("uvloop", "aiofastnet", OPENSSL), secure=True),
}


def versions() -> dict[str, str]:
    """The versions of the libraries that are installed."""
    found = {}
    for name in ("uvloop", "starlette", "aiofastnet"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, OPENSSL: ssl.OPENSSL_VERSION.split()[1]}


def groups(libraries: Collection[str]) -> list[list[str]]:
    """The scenarios that can be counted with `libraries`, those of one server together."""
    names = [name for name, each in SCENARIOS.items() if set(each.libraries) <= set(libraries)]
    each = [[name for name in names if SCENARIOS[name].secure is secure] for secure in (False, True)]
    return [group for group in each if group]


def count(names: Sequence[str]) -> dict[str, int]:
    """Count the instructions of a request in some scenarios, on one server. Raises CountFailed."""
    with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
        output, secure = Path(folder, "callgrind.out"), SCENARIOS[names[0]].secure
        with serving(output, secure) as address:
            for name in names:
                load(address, SCENARIOS[name])
        return parse(output.read_text(encoding="utf-8"), names, REQUESTS)


@contextmanager
def serving(output: Path, secure: bool) -> Iterator[tuple[str, int]]:
    """The address of a server whose counts are in `output` afterwards. Raises CountFailed, also if its load failed."""
    log = output.with_name("log")
    with socket.create_server(("127.0.0.1", 0), backlog=2 * CONNECTIONS) as listener, log.open("wb") as written:
        arguments = ["-m", "pronghorn", "bench.app_marked:app", "--fd", str(listener.fileno()), *OPTIONS.split()]
        if secure:
            arguments += with_certificate(output.parent)
        process = subprocess.Popen(
            counting(output, *arguments),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            pass_fds=[listener.fileno()],
        )
        address = listener.getsockname()
    try:
        yield address
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CountFailed(f"the server failed: {error!r}\n{log.read_text(errors='replace')}") from None
    finally:
        process.kill()
        process.wait()


def with_certificate(directory: Path) -> list[str]:
    """The options for TLS. Raises CountFailed."""
    try:
        certificate.make(directory)
    except CertificateFailed as error:
        raise CountFailed(str(error)) from None
    names = {"--ssl-certfile": certificate.CERTIFICATE, "--ssl-keyfile": certificate.KEY}
    return [part for option, name in names.items() for part in (option, str(directory / name))]


def load(address: tuple[str, int], scenario: Scenario) -> None:
    """Send the rounds of one scenario, and mark them. Raises OSError."""
    with ExitStack() as stack:
        control, *connections = (
            stack.enter_context(closing(connect(address, scenario.secure))) for _ in range(1 + CONNECTIONS)
        )
        if scenario.opening:
            ask(connections, scenario.opening, b"\r\n\r\n")
        for rounds in (WARM_UP, ROUNDS):
            for _ in range(rounds):
                ask(connections, scenario.request, scenario.answer)
            ask([control], MARK, HELLO)


def connect(address: tuple[str, int], secure: bool) -> socket.socket:
    """A new connection. Raises OSError."""
    connection = socket.create_connection(address, timeout=SECONDS)
    if not secure:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context.wrap_socket(connection)


def ask(connections: Sequence[socket.socket], request: bytes, end: bytes) -> None:
    """Send a request on all connections, then read all answers to their `end`. Raises OSError."""
    for connection in connections:
        connection.sendall(request)
    for connection in connections:
        answer = b""
        while not answer.endswith(end):
            part = connection.recv(65536)
            if not part:
                raise ConnectionError(f"closed after {answer!r}")
            answer += part
