"""The front ends, each with a configuration that marks the requests which it passes on.

The mark is a field that holds a secret, an identifier, and the front end's own reading of the host and request line.
A request without it never was one for the front end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.server import PATIENCE
from tools.web_servers import nginx_configuration, program

MARK = b"front-end"
SECRET = "qd7vXh2mTn"

Address = str | tuple[str, int]
# Takes the port of the server and a folder; gives the addresses for HTTP/1.1 and for HTTP/2.
Run = Callable[[int, Path], contextlib.AbstractContextManager[tuple[Address, Address]]]


class FrontEnd(NamedTuple):
    """`name` says how it is set up, and how it speaks to the server if that is not HTTP/1.1."""

    name: str
    program: str
    run: Run


def installed() -> list[FrontEnd]:
    return [each for each in FRONT_ENDS if program(each.program)]


def version(name: str) -> str:
    """The first line that the program says about itself."""
    told = subprocess.run([_program(name), "-v"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    return (told.stdout + told.stderr).splitlines()[0].strip()


@contextlib.contextmanager
def running(front: FrontEnd, upstream: int) -> Iterator[tuple[Address, Address]]:
    """Run a front end of the server at the port `upstream`; yield its addresses for HTTP/1.1 and HTTP/2."""
    with contextlib.ExitStack() as stack:
        # Unix sockets need a short path.
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for _ in range(2):
            # Another process may take the port of apache2, which has no Unix sockets.
            with contextlib.suppress(AssertionError):
                addresses = stack.enter_context(front.run(upstream, Path(folder)))
                break
        else:
            addresses = stack.enter_context(front.run(upstream, Path(folder)))
        yield addresses


def _program(name: str) -> str:
    path = program(name)
    assert path is not None
    return path


@contextlib.contextmanager
def _process(command: list[str], address: Address, folder: Path) -> Iterator[None]:
    """Run a command until the end of the block, which begins when it listens at `address`. It logs into `folder`."""
    log = folder / "stderr"
    # With its children, which could survive it, it is a group.
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
        ) as made,
    ):
        try:
            _wait_until_listening(address, made, log)
            yield
        finally:
            # Not at once: apache2 removes what it shares with its child.
            made.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                made.wait(PATIENCE)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(made.pid, signal.SIGKILL)


def _wait_until_listening(address: Address, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as made:
            if not isinstance(address, str):
                # From the same address, it could connect to itself.
                made.bind(("127.0.0.2", 0))
            if not made.connect_ex(address):
                return
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < end
        time.sleep(0.05)


_NGINX = """\
map $http_upgrade $connection_upgrade {{
    default upgrade;
    ""      "";
}}
upstream it {{
    server 127.0.0.1:{upstream};
    keepalive 8;
}}
server {{
    listen unix:{folder}/one;
    listen unix:{folder}/two http2;
    {settings}
    location / {{
        proxy_pass http://it;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header {mark} "{secret} $request_id $host $request";
        proxy_read_timeout 5s;
    }}
}}
"""


def _nginx(settings: str) -> Run:
    @contextlib.contextmanager
    def run(upstream: int, folder: Path) -> Iterator[tuple[Address, Address]]:
        text = _NGINX.format(upstream=upstream, folder=folder, settings=settings, mark=MARK.decode(), secret=SECRET)
        file = folder / "nginx.conf"
        file.write_text(nginx_configuration(text))
        with _process([_program("nginx"), "-p", str(folder), "-c", str(file), "-e", "stderr"], f"{folder}/two", folder):
            yield f"{folder}/one", f"{folder}/two"

    return run


_HAPROXY = """\
global
    stats socket {folder}/stats
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 5s
    option abortonclose
    timeout tunnel 5s
frontend both
    bind unix@{folder}/one
    bind unix@{folder}/two proto h2
    {settings}
    http-request set-header {mark} "{secret} %[uuid()] %[req.fhdr(host)] %[method] %[url] HTTP/%[req.ver]"
    default_backend it
backend it
    http-reuse always
    server it 127.0.0.1:{upstream} {options}
"""


def _haproxy(options: str, settings: str = "") -> Run:
    @contextlib.contextmanager
    def run(upstream: int, folder: Path) -> Iterator[tuple[Address, Address]]:
        file = folder / "haproxy.cfg"
        names = {"upstream": upstream, "folder": folder, "options": options, "settings": settings}
        file.write_text(_HAPROXY.format(mark=MARK.decode(), secret=SECRET, **names))
        with _process([_program("haproxy"), "-db", "-f", str(file)], f"{folder}/two", folder):
            yield f"{folder}/one", f"{folder}/two"

    return run


_MODULES = Path("/usr/lib/apache2/modules")
_APACHE = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
Listen 127.0.0.1:{port}
{modules}
{user}
ErrorLog /dev/null
Timeout 5
StartServers 1
ServerLimit 1
ThreadsPerChild 25
MaxRequestWorkers 25
MinSpareThreads 25
MaxSpareThreads 25
Protocols h2c http/1.1
{settings}
RequestHeader set {mark} "expr={secret} %{{reqenv:UNIQUE_ID}} %{{HTTP_HOST}} %{{THE_REQUEST}}"
ProxyPreserveHost On
AllowEncodedSlashes NoDecode
MergeSlashes Off
ProxyPass / {scheme}://127.0.0.1:{upstream}/ nocanon{upgrade}
"""


def _apache(scheme: str, settings: str = "") -> Run:
    modules = ["mpm_event", "authz_core", "headers", "unique_id", "proxy", "proxy_http", "proxy_http2", "http2"]

    @contextlib.contextmanager
    def run(upstream: int, folder: Path) -> Iterator[tuple[Address, Address]]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        file = folder / "apache.conf"
        file.write_text(
            _APACHE.format(
                folder=folder,
                port=port,
                modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in modules),
                user="User nobody\nGroup nogroup" if os.geteuid() == 0 else "",
                settings=settings,
                mark=MARK.decode(),
                secret=SECRET,
                scheme=scheme,
                upgrade=" upgrade=websocket" if scheme == "http" else "",
                upstream=upstream,
            )
        )
        # In the foreground, but with a child, as usual.
        with _process([_program("apache2"), "-D", "FOREGROUND", "-f", str(file)], ("127.0.0.1", port), folder):
            yield ("127.0.0.1", port), ("127.0.0.1", port)

    return run


FRONT_ENDS = (
    FrontEnd("nginx", "nginx", _nginx("")),
    FrontEnd(
        "nginx, lax",
        "nginx",
        _nginx("proxy_request_buffering off; ignore_invalid_headers off; underscores_in_headers on;"),
    ),
    FrontEnd("haproxy", "haproxy", _haproxy("")),
    FrontEnd("haproxy, lax", "haproxy", _haproxy("", "option accept-invalid-http-request")),
    FrontEnd("haproxy, HTTP/2", "haproxy", _haproxy("proto h2")),
    FrontEnd("apache2", "apache2", _apache("http")),
    FrontEnd("apache2, lax", "apache2", _apache("http", "HttpProtocolOptions Unsafe LenientMethods Allow0.9")),
    FrontEnd("apache2, HTTP/2", "apache2", _apache("h2c")),
)
