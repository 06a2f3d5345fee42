"""What uvicorn has, read off the one that is installed: ours too, or listed with the reason why not."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import click
import pytest

import pronghorn
from pronghorn.config import IMPORTABLE

uvicorn = pytest.importorskip("uvicorn")

_FRACTIONS = "takes decimal numbers too"
_BOUNDED = "a response that never ends would hold SIGTERM for ever"

# What is ours where it is not uvicorn's, and why.
DIFFERENCES: dict[str, dict[str, tuple[Any, str]]] = {
    "timeout_keep_alive": {"type": ("float", _FRACTIONS)},
    "timeout_worker_healthcheck": {"type": ("float", _FRACTIONS)},
    "timeout_graceful_shutdown": {"type": ("float", _FRACTIONS), "default": (30, _BOUNDED)},
}

# Attributes of objects that we do not have.
ABSENT: dict[str, str] = {
    "setup_event_loop": "only raises in uvicorn; `get_loop_factory` replaced it",
}

OPTIONS = {each.name: each for each in uvicorn.main.params}
OURS = {each.name: each for each in pronghorn.main.params}


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def facts(option: Any) -> dict[str, Any]:
    """What a user sees of an option."""
    repeated = getattr(option, "multiple", False)
    return {
        "flags": [*option.opts, *option.secondary_opts],
        "type": option.type.name,
        "choices": list(getattr(option.type, "choices", [])),
        "exists": getattr(option.type, "exists", None),
        "repeated": repeated,
        "switch": getattr(option, "is_flag", False),
        "required": option.required,
        "default": None if repeated or option.required else option.default,
    }


@pytest.mark.parametrize("name", list(OPTIONS))
def test_option(name: str) -> None:
    differences = DIFFERENCES.get(name, {})
    theirs, ours = facts(OPTIONS[name]), facts(OURS[name])
    assert ours == theirs | {fact: value for fact, (value, _) in differences.items()}
    assert all(theirs[fact] != value for fact, (value, _) in differences.items()), "no longer a difference"


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"version"}))
def test_environment_of_an_option(name: str) -> None:
    assert OURS[name].envvar == [f"PRONGHORN_{name.upper()}", f"UVICORN_{name.upper()}"]


@pytest.mark.parametrize("name", list(IMPORTABLE))
def test_names_of_implementations(name: str) -> None:
    named = OPTIONS[name].metavar.strip("[]").split("|")
    assert set(named) <= set(IMPORTABLE[name])
    for each in named:
        assert getattr(pronghorn.Config(app, log_config=None, **{name: each}), name) in IMPORTABLE[name]


def test_positions_in_config_are_the_same() -> None:
    def positional(function: Any) -> list[str]:
        parameters = inspect.signature(function).parameters.values()
        return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]

    assert positional(pronghorn.Config) == positional(uvicorn.Config)


@pytest.mark.parametrize("function", ["Config", "run"])
def test_parameters(function: str) -> None:
    ours = inspect.signature(getattr(pronghorn, function)).parameters
    defaults = pronghorn.config.parameters()
    for name, parameter in inspect.signature(getattr(uvicorn, function)).parameters.items():
        assert name in ours
        if name not in ("app", "log_config"):
            expected = DIFFERENCES.get(name, {}).get("default", (parameter.default, ""))[0]
            assert defaults[name] == expected, name


def test_names_of_the_package() -> None:
    assert set(uvicorn.__all__) <= set(pronghorn.__all__)
    assert isinstance(pronghorn.main, click.Command)


@pytest.mark.parametrize(
    "name",
    [
        "config.Config",
        "config.LOGGING_CONFIG",
        "config.LOG_LEVELS",
        "logging.AccessFormatter",
        "logging.ColourizedFormatter",
        "logging.DefaultFormatter",
        "logging.TRACE_LOG_LEVEL",
        "middleware.proxy_headers.ProxyHeadersMiddleware",
        "protocols.utils.ClientDisconnected",
        "server.Server",
        "server.ServerState",
    ],
)
def test_names_of_modules(name: str) -> None:
    for package in ("uvicorn", "pronghorn"):
        module, _, attribute = f"{package}.{name}".rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("kind", ["Config", "Server"])
def test_attributes(kind: str) -> None:
    def made(package: Any) -> Any:
        config = package.Config(app, log_config=None)
        config.load()
        return config if kind == "Config" else package.Server(config)

    theirs, ours = (made(package) for package in (uvicorn, pronghorn))
    names = [name for name in dir(theirs) if not name.startswith("_")]
    assert {name for name in names if not hasattr(ours, name)} == set(ABSENT) & set(names)
