"""How each server is started: one worker, its best settings, in full view.

A server appears in the tables under its name; `{app}` and `{port}` are filled in, and the interpreter comes first. So
are `{certificate}` and `{key}`, the files for one that speaks TLS.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A command line after the interpreter, and the modules without which it cannot run."""

    name: str
    arguments: str
    needs: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return "{certificate}" in self.arguments

    def command(self, python: str, app: str, port: int, certificate: Path, key: Path) -> list[str]:
        """The command line to execute."""
        filled = self.arguments.format(app=app, port=port, certificate=certificate, key=key)
        return [python, *shlex.split(filled)]

    def environ(self) -> dict[str, str]:
        """The environment to run in: what finds the interpreter's modules, and nothing that would tune a server."""
        inherited = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
        return {name: os.environ[name] for name in inherited if name in os.environ} | dict(self.environment)


QUIET = "--no-access-log --log-level warning"
CERTIFICATE = "--ssl-certfile {certificate} --ssl-keyfile {key}"
UVICORN = f"-m uvicorn {{app}} --port {{port}} --loop uvloop --http httptools --ws websockets-sansio {QUIET}"
PEREGRINE = "-m peregrine {app} --port {port} --protocol asgi --workers 1 --max-connections 16384 --log-level warning"
WEFT = "-m weft {app} --port {port} --protocol asgi --workers 1 --max-connections 16384 --log-level warning"
GRANIAN = (
    "-m granian {app} --port {port} --interface asgi --workers 1 --loop uvloop --http 1 --http1-pipeline-flush"
    f" --backlog 16384 {QUIET}"
)

SERVERS = {
    server.name: server
    for server in (
        Server("pronghorn", f"-m pronghorn {{app}} --port {{port}} {QUIET}", ("pronghorn", "uvloop")),
        Server(
            "pronghorn-pure",
            f"-m pronghorn {{app}} --port {{port}} {QUIET}",
            ("pronghorn", "uvloop"),
            {"PRONGHORN_PURE": "1"},
        ),
        Server("pronghorn-default", "-m pronghorn {app} --port {port}", ("pronghorn", "uvloop")),
        Server(
            "pronghorn-tls",
            f"-m pronghorn {{app}} --port {{port}} {QUIET} {CERTIFICATE}",
            ("pronghorn", "uvloop", "aiofastnet"),
        ),
        Server("uvicorn", UVICORN, ("uvicorn", "uvloop", "httptools", "websockets")),
        Server("uvicorn-tls", f"{UVICORN} {CERTIFICATE}", ("uvicorn", "uvloop", "httptools", "websockets")),
        Server("uvicorn-default", "-m uvicorn {app} --port {port}", ("uvicorn", "uvloop", "httptools")),
        Server("peregrine", PEREGRINE, ("peregrine", "uvloop")),
        Server("peregrine-tls", f"{PEREGRINE} --tls-cert {{certificate}} --tls-key {{key}}", ("peregrine", "uvloop")),
        Server("weft", WEFT, ("weft", "uvloop")),
        Server("weft-tls", f"{WEFT} --tls-cert {{certificate}} --tls-key {{key}}", ("weft", "uvloop")),
        Server("granian", f"{GRANIAN} --no-ws", ("granian", "uvloop")),
        Server(
            "granian-tls",
            f"{GRANIAN} --no-ws --ssl-certificate {{certificate}} --ssl-keyfile {{key}}",
            ("granian", "uvloop"),
        ),
        Server("granian-ws", f"{GRANIAN} --ws", ("granian", "uvloop")),
        Server("floor", "-m bench.floor --port {port}", ("uvloop",)),
    )
}
