"""The machine and the versions that the figures belong to."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from pronghorn.bench.servers import SERVERS, Server

DISTRIBUTIONS = (
    *("pronghorn", "uvicorn", "peregrine-server", "weft-server", "granian", "h2corn", "saltare", "m0serve"),
    *("fastpysgi", "gunicorn", "daphne", "hypercorn"),
    *("uvloop", "httptools", "websockets", "wsproto", "aiofastnet", "twisted", "h11"),
    *("starlette", "fastapi", "pydantic", "django"),
)

BUILD = Path(__file__).with_name("build.py")
# Runs after the source of build.py.
ASK_PYTHON = """
import importlib.metadata, importlib.util, json, platform, sys
modules, distributions = json.load(sys.stdin)
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
def origin(name):
    try:
        return (importlib.util.find_spec(name) or sys).origin
    except (ImportError, AttributeError):
        return None
json.dump({
    "python": f"{platform.python_implementation()} {platform.python_version()} ({describe()})",
    "absent": [name for name in modules if importlib.util.find_spec(name) is None],
    "versions": {name: version(name) for name in distributions},
    "compiled": (origin("pronghorn._wire_c.http1.head") or "").endswith((".so", ".pyd")),
}, sys.stdout)
"""


class Interpreter:
    """The Python that runs the servers: its version, how it was built, and its packages."""

    def __init__(self, python: str, servers: Mapping[str, Server] = SERVERS) -> None:
        self._servers = servers
        modules = sorted({module for server in servers.values() for module in server.needs})
        done = subprocess.run(
            [python, "-c", BUILD.read_text(encoding="utf-8") + ASK_PYTHON],
            input=json.dumps([modules, DISTRIBUTIONS]),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=SERVERS["pronghorn"].environ(),
        )
        answer = json.loads(done.stdout)
        self.absent: set[str] = set(answer["absent"])
        self.compiled: bool = answer["compiled"]
        self.versions: dict[str, str] = {"python": answer["python"]}
        self.versions |= {name: version for name, version in answer["versions"].items() if version}
        if "pronghorn" not in self.absent:
            form = "compiled" if self.compiled else "interpreted"
            self.versions["pronghorn"] = f"{self.versions.get('pronghorn', 'from source')} ({form})"

    def missing(self) -> dict[str, str]:
        """The servers that cannot run, each with the modules that are not installed."""
        lacking = {name: sorted(self.absent.intersection(server.needs)) for name, server in self._servers.items()}
        return {name: ", ".join(modules) for name, modules in lacking.items() if modules}


def describe() -> dict[str, str]:
    """The machine: processor, cores, memory, kernel."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return {
        "processor": found[1] if found else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def wrk_version() -> str | None:
    """The version of wrk, None if it is not installed."""
    try:
        output = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=10).stdout
    except FileNotFoundError:
        return None
    return " ".join(output.split()[1:2]) or "unknown"
