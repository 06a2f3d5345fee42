"""The command line of each server: one worker, its best settings.

Placeholders are `{app}`, `{port}`, `{certificate}` and `{key}` for TLS, and `{directory}`, which is removed after the
run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """The arguments for the interpreter, the modules that they need, and the `package` that contains these.

    A `restless` server uses CPU while it is idle, so it is stopped while others are loaded.
    """

    name: str
    arguments: str
    needs: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    package: str = ""
    restless: bool = False

    @property
    def secure(self) -> bool:
        """True if it speaks TLS."""
        return "{certificate}" in self.arguments

    def command(self, python: str, app: str, port: int, certificate: Path, key: Path) -> list[str]:
        """The command line to execute."""
        filled = {"app": app, "port": port, "certificate": certificate, "key": key, "directory": certificate.parent}
        return [python, *(argument.format_map(filled) for argument in shlex.split(self.arguments))]

    def command_line(self, app: str = "{app}", port: str = "{port}") -> str:
        """The environment and the command, as typed."""
        variables = "".join(f"{name}={value} " for name, value in self.environment.items())
        return f"{variables}python {self.arguments.replace('{app}', app).replace('{port}', port)}"

    def environ(self) -> dict[str, str]:
        """The environment to run in, without anything that could tune a server."""
        inherited = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
        return {name: os.environ[name] for name in inherited if name in os.environ} | dict(self.environment)


QUIET = "--no-access-log --log-level warning"
MANY = "--max-connections 16384"

SERVERS = {
    server.name: server
    for server in (
        Server(
            "pronghorn",
            f"-m pronghorn {{app}} --port {{port}} --workers 1 {QUIET}",
            ("pronghorn", "uvloop"),
            package="pronghorn[standard]",
        ),
        Server(
            "uvicorn",
            "-m uvicorn {app} --port {port} --workers 1 --loop uvloop --http httptools --ws websockets-sansio"
            f" {QUIET}",
            ("uvicorn", "uvloop", "httptools", "websockets"),
            package="uvicorn[standard]",
        ),
        Server(
            "peregrine",
            f"-m peregrine {{app}} --port {{port}} --protocol asgi --workers 1 {MANY} --log-level warning",
            ("peregrine", "uvloop"),
            package="peregrine-server uvloop",
        ),
        Server(
            "weft",
            f"-m weft {{app}} --port {{port}} --protocol asgi --workers 1 {MANY} --log-level warning",
            ("weft", "uvloop"),
            package="weft-server uvloop",
        ),
        Server(
            "granian",
            "-m granian {app} --port {port} --interface asgi --workers 1 --loop uvloop --http 1 --http1-pipeline-flush"
            f" --backlog 16384 --no-ws {QUIET}",
            ("granian", "uvloop"),
            package="granian uvloop",
        ),
        Server(
            "h2corn",
            "-m h2corn {app} --bind 127.0.0.1:{port} --workers 1 --loop uvloop --backlog 16384 --no-access-log",
            ("h2corn", "uvloop"),
            package="h2corn uvloop",
        ),
        Server(
            "saltare",
            "-m saltare {app} --port {port} --workers 1 --max-concurrent-connections 16384 --listen-backlog 16384"
            " --max-keepalive-requests 2147483647 --max-request-body 4194304",
            ("saltare",),
            package="saltare",
        ),
        Server(
            "m0serve",
            "-m m0serve {app} --host 127.0.0.1 --port {port} --protocol asgi --workers 1 --max-keepalive-requests 0",
            ("m0serve",),
            package="m0serve",
        ),
        Server(
            "fastpysgi",
            "-c 'import fastpysgi, uvloop; fastpysgi.server.loop = uvloop.new_event_loop(); fastpysgi.run_from_cli()'"
            " {app} --host 127.0.0.1 --port {port} --loglevel 4",
            ("fastpysgi", "uvloop"),
            package="fastpysgi uvloop",
            restless=True,
        ),
        Server(
            "gunicorn",
            "-m gunicorn {app} --worker-class asgi --asgi-loop uvloop --bind 127.0.0.1:{port} --workers 1"
            " --worker-connections 16384 --keep-alive 75 --log-level warning",
            ("gunicorn", "uvloop"),
            package="gunicorn uvloop",
        ),
        Server(
            "daphne",
            "-m daphne {app} --endpoint tcp:{port}:interface=127.0.0.1:backlog=2048 --verbosity 0",
            ("daphne",),
            package="daphne",
        ),
        Server(
            "hypercorn",
            "-m hypercorn {app} --bind 127.0.0.1:{port} --worker-class uvloop --workers 1 --backlog 2048"
            " --keep-alive 75 --log-level error",
            ("hypercorn", "uvloop"),
            package="hypercorn uvloop",
        ),
    )
}
