"""An ASGI server. `pronghorn main:app` on the command line, `pronghorn.run("main:app")` in a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pronghorn import config as config
    from pronghorn import logging as logging
    from pronghorn import server as server
    from pronghorn.cli import main as main
    from pronghorn.config import Config as Config
    from pronghorn.errors import StartupError as StartupError
    from pronghorn.launcher import run as run
    from pronghorn.server import Server as Server

__all__ = ["Config", "Server", "StartupError", "__version__", "main", "run"]
__version__ = "0.1.0"

# Imported at first use: a program that only runs a server never pays for the command line, nor the reverse.
_HOMES = {"main": "cli", "Config": "config", "StartupError": "errors", "run": "launcher", "Server": "server"}
_MODULES = ("config", "logging", "server")


def __getattr__(name: str) -> Any:
    if name not in _HOMES and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"pronghorn.{name}")
    value = globals()[name] = getattr(import_module(f"pronghorn.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
