"""The servers to compare on a user's application, and the environment that they run in."""

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
NAMES = tuple(name for name in SERVERS if name != SUBJECT)
# Prefixes of the environment variables with settings of servers.
TUNING = tuple(f"{name.upper()}_" for name in SERVERS)


def known() -> dict[str, Server]:
    """The servers for this system: on Windows, which has no uvloop, with asyncio's own loop."""
    if sys.platform == "win32":
        return {name: without_uvloop(server) for name, server in SERVERS.items()}
    return SERVERS


def without_uvloop(server: Server) -> Server:
    """The server on asyncio's own event loop."""
    needs = tuple(module for module in server.needs if module != "uvloop")
    arguments = server.arguments.replace("--loop uvloop", "--loop asyncio")
    return dataclasses.replace(server, arguments=arguments, needs=needs)


def lacking(servers: Iterable[Server], absent: Collection[str]) -> dict[str, str]:
    """The `servers` that need modules which are `absent`, each with a reason and the command that installs them."""
    return {
        server.name: f"not installed: {', '.join(modules)}; pip install {shlex.join(server.package.split())}"
        for server in servers
        if (modules := [module for module in server.needs if module in absent])
    }


def environment(app_dir: Path) -> dict[str, str]:
    """This process's environment, without settings of servers; modules are also imported from `app_dir`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith((*TUNING, "WEB_CONCURRENCY"))}
    kept.pop("PYTHONSAFEPATH", None)
    return importing_from(app_dir, {**kept, "PRONGHORN_CONFIG": os.devnull})


def importing_from(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, with `directory` first on the import path."""
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(directory), environ.get("PYTHONPATH"))))}


def made_by(factory: str, directory: Path) -> str:
    """Write a module into `directory` that calls the factory, for servers without `--factory`; the application."""
    module, _, attribute = factory.partition(":")
    name = "pronghorn_bench_app"
    source = f"from {module} import {attribute.partition('.')[0]}\n\napp = {attribute}()\n"
    (directory / f"{name}.py").write_text(source, encoding="utf-8")
    return f"{name}:app"
