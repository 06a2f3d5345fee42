"""Which servers are compared on an application of the user's, and in what surroundings."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pronghorn.bench.servers import SERVERS, Server

SUBJECT = "pronghorn"
DEFAULT = ("uvicorn", "granian")
PEERS = tuple(name for name in SERVERS if name != SUBJECT)
# Beginnings of the variables that servers, pronghorn among them, take settings from.
TUNING = tuple(f"{name.upper()}_" for name in SERVERS)


def known() -> dict[str, Server]:
    """The servers as they run on this system: where there is no uvloop, on asyncio's own loop."""
    if sys.platform == "win32":
        return {name: without_uvloop(server) for name, server in SERVERS.items()}
    return SERVERS


def without_uvloop(server: Server) -> Server:
    """The server on asyncio's own event loop."""
    needs = tuple(module for module in server.needs if module != "uvloop")
    arguments = server.arguments.replace("--loop uvloop", "--loop asyncio")
    return dataclasses.replace(server, arguments=arguments, needs=needs)


def lacking(servers: Iterable[Server], absent: Collection[str]) -> dict[str, str]:
    """By name, those of `servers` that cannot run without the modules that are `absent`, and what to do about it."""
    return {
        server.name: f"not installed: {', '.join(modules)}; pip install {shlex.join(server.package.split())}"
        for server in servers
        if (modules := [module for module in server.needs if module in absent])
    }


def environment(app_dir: Path) -> dict[str, str]:
    """This process's own, which the application may need, without what would tune a server; imports from `app_dir`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith((*TUNING, "WEB_CONCURRENCY"))}
    kept.pop("PYTHONSAFEPATH", None)
    return importing_from(app_dir, {**kept, "PRONGHORN_CONFIG": os.devnull})


def importing_from(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, where `directory` comes before what else is imported from."""
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(directory), environ.get("PYTHONPATH"))))}


def made_by(factory: str, directory: Path) -> str:
    """An application for servers that take no factory: a module in `directory` that calls it."""
    module, _, attribute = factory.partition(":")
    name = "pronghorn_bench_app"
    source = f"from {module} import {attribute.partition('.')[0]}\n\napp = {attribute}()\n"
    (directory / f"{name}.py").write_text(source, encoding="utf-8")
    return f"{name}:app"


def command_line(server: Server, app: str) -> str:
    """How the server is started, as typed."""
    variables = "".join(f"{name}={value} " for name, value in server.environment.items())
    return f"{variables}python {server.arguments.replace('{app}', app).replace('{port}', 'PORT')}"
