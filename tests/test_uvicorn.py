"""Compatibility with the installed uvicorn: everything it has exists here, or is listed with a reason."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import pronghorn
from pronghorn.config import IMPORTABLE

uvicorn = pytest.importorskip("uvicorn")

_FRACTIONS = "takes decimal numbers too"
_BOUNDED = "a response that never ends would hold SIGTERM for ever"

# Our value where it differs from uvicorn's, and the reason.
DIFFERENCES: dict[str, dict[str, tuple[Any, str]]] = {
    "timeout_keep_alive": {"type": ("float", _FRACTIONS)},
    "timeout_worker_healthcheck": {"type": ("float", _FRACTIONS)},
    "timeout_graceful_shutdown": {"type": ("float", _FRACTIONS), "default": (30, _BOUNDED)},
}

_OWN = "a class of uvicorn's own insides"
_HOME = "imported there for uvicorn's own use; has a home elsewhere, where ours is too"
_LOOP = "`Config.get_loop_factory` makes the loop"
_CLICK = "click's own, for uvicorn's options"
_EVENT = "a type for uvicorn's own annotations"

# uvicorn's modules that we have, and where what they name lives. "itself": the module is our own, under the same path.
PATHS: dict[str, str] = {
    "config": "itself",
    "importer": "pronghorn.application",
    "lifespan": "pronghorn.application.lifespan",
    "lifespan.off": "pronghorn.lifespan.on",
    "lifespan.on": "pronghorn.application.lifespan",
    "logging": "itself",
    "loops": "itself",
    "main": "pronghorn.launcher",
    "middleware": "itself",
    "middleware.asgi2": "pronghorn.application.interfaces",
    "middleware.message_logger": "pronghorn.application.interfaces",
    "middleware.proxy_headers": "itself",
    "middleware.wsgi": "a2wsgi",
    "protocols": "itself",
    "protocols.utils": "pronghorn.listen.addresses",
    "server": "itself",
    "supervisors": "pronghorn.supervisor.supervisor",
    "supervisors.multiprocess": "pronghorn.supervisor.supervisor",
    "supervisors.statreload": "pronghorn.supervisor.reloader",
    "supervisors.watchfilesreload": "pronghorn.supervisor.reloader",
    "workers": "pronghorn.gunicorn",
}

# Modules, names in modules, and attributes of objects that we omit, and the reason.
LEFT_OUT: dict[str, str] = {
    # Modules
    "loops.asyncio": _LOOP,
    "loops.auto": _LOOP,
    "loops.uvloop": _LOOP,
    "loops.zuvloop": _LOOP,
    "protocols.http": "one class, `http_protocol_class`, over several parsers: other methods, other states",
    "protocols.websockets": "part of the same class",
    "supervisors.basereload": "its methods are there to be overridden; ours has others",
    # Names in modules
    "config.ASGI2Middleware": _HOME,
    "config.ImportFromStringError": _HOME,
    "config.MessageLoggerMiddleware": _HOME,
    "config.ProxyHeadersMiddleware": _HOME,
    "config.UvicornDeprecationWarning": "nothing here is deprecated",
    "config.WSGIMiddleware": _HOME,
    "config.import_from_string": _HOME,
    "config.is_dir": "a helper",
    "config.resolve_reload_patterns": "a helper: `Config.reload_dirs` has what it finds",
    "lifespan.on.LifespanReceiveMessage": _EVENT,
    "lifespan.on.LifespanSendMessage": _EVENT,
    "lifespan.on.STATE_TRANSITION_ERROR": "a text",
    "lifespan.on.Config": _HOME,
    "lifespan.off.Config": _HOME,
    "main.INTERFACE_CHOICES": _CLICK,
    "main.LEVEL_CHOICES": _CLICK,
    "main.LIFESPAN_CHOICES": _CLICK,
    "main.print_version": _CLICK,
    "middleware.message_logger.PLACEHOLDER_FORMAT": "a text",
    "middleware.message_logger.TRACE_LOG_LEVEL": _HOME,
    "middleware.message_logger.message_with_placeholders": "a helper",
    "middleware.wsgi.WSGIResponder": "deprecated there: a2wsgi adapts WSGI",
    "middleware.wsgi.build_environ": "deprecated there: a2wsgi adapts WSGI",
    "supervisors.BaseReload": _HOME,
    "supervisors.multiprocess.Config": _HOME,
    "supervisors.multiprocess.Process": _OWN,
    "supervisors.multiprocess.SIGNALS": "a table of uvicorn's own",
    "supervisors.multiprocess.STARTUP_FAILURE": _HOME,
    "supervisors.multiprocess.Server": _HOME,
    "supervisors.multiprocess.logger": _HOME,
    "supervisors.statreload.BaseReload": _HOME,
    "supervisors.statreload.Config": _HOME,
    "supervisors.statreload.logger": _HOME,
    "supervisors.watchfilesreload.BaseReload": _HOME,
    "supervisors.watchfilesreload.Config": _HOME,
    "supervisors.watchfilesreload.FileFilter": _OWN,
    "workers.Config": _HOME,
    "workers.Server": _HOME,
    # Attributes of objects
    "Config.setup_event_loop": "only raises AttributeError in uvicorn; `get_loop_factory` replaced it",
    "Lifespan.main": "the application's task is the lifespan's own",
    "Lifespan.receive": _OWN,
    "Lifespan.receive_queue": _OWN,
    "Lifespan.send": _OWN,
    "Lifespan.shutdown_event": _OWN,
    "Lifespan.startup_event": _OWN,
    "Multiprocess": "signals, deaths and what workers say are handled in one place, not by overridden methods",
    "ChangeReload": "signals and changes are handled in one place, not by overridden methods",
}

# Hooks that our object has although its other attributes are omitted.
HOOKS = {"Multiprocess": {"run"}, "ChangeReload": {"run"}}


OPTIONS = {each.name: each for each in uvicorn.main.params}
OURS = {each.name: each for each in pronghorn.main.params}


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def facts(option: Any) -> dict[str, Any]:
    """The facts about an option that a user sees."""
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
def test_option_equals_option_of_uvicorn(name: str) -> None:
    differences = DIFFERENCES.get(name, {})
    theirs, ours = facts(OPTIONS[name]), facts(OURS[name])
    assert ours == theirs | {fact: value for fact, (value, _) in differences.items()}
    assert all(theirs[fact] != value for fact, (value, _) in differences.items()), "no longer a difference"


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"version"}))
def test_option_has_both_environment_variables(name: str) -> None:
    assert OURS[name].envvar == [f"PRONGHORN_{name.upper()}", f"UVICORN_{name.upper()}"]


@pytest.mark.parametrize("name", list(IMPORTABLE))
def test_implementation_names_of_uvicorn_are_accepted(name: str) -> None:
    named = OPTIONS[name].metavar.strip("[]").split("|")
    assert set(named) <= set(IMPORTABLE[name])
    for each in named:
        assert getattr(pronghorn.Config(app, log_config=None, **{name: each}), name) in IMPORTABLE[name]


def test_positional_parameters_of_config_are_equal() -> None:
    def positional(function: Any) -> list[str]:
        parameters = inspect.signature(function).parameters.values()
        return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]

    assert positional(pronghorn.Config) == positional(uvicorn.Config)


@pytest.mark.parametrize("function", ["Config", "run"])
def test_parameters_of_uvicorn_exist_with_equal_defaults(function: str) -> None:
    ours = inspect.signature(getattr(pronghorn, function)).parameters
    defaults = pronghorn.config.parameters()
    for name, parameter in inspect.signature(getattr(uvicorn, function)).parameters.items():
        assert name in ours
        if name not in ("app", "log_config"):
            expected = DIFFERENCES.get(name, {}).get("default", (parameter.default, ""))[0]
            assert defaults[name] == expected, name


def test_dir_lists_names_of_package_before_use() -> None:
    assert set(pronghorn.__all__) <= set(dir(pronghorn))


def test_package_has_names_of_uvicorn() -> None:
    assert set(uvicorn.__all__) <= set(pronghorn.__all__)
    assert isinstance(pronghorn.main, click.Command)


PACKAGE = Path(uvicorn.__file__).parent
OURS_PACKAGE = Path(pronghorn.__file__).parent


def modules() -> dict[str, Path]:
    """The public modules of uvicorn."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts and not any(part.startswith("_") for part in parts):
            found[".".join(parts)] = path
    return found


def names(path: Path) -> set[str]:
    """The public names that a module defines, or imports from another public module of uvicorn."""
    found: set[str] = set()
    statements = list(ast.parse(path.read_text(encoding="utf-8")).body)
    for statement in statements:
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found.add(statement.name)
            case ast.Assign(targets=targets):
                found.update(each.id for each in targets if isinstance(each, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.ImportFrom(module=str(module)) if module.startswith("uvicorn") and "._" not in module:
                found.update(each.asname or each.name for each in statement.names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.If() | ast.Try():
                statements += [*statement.body, *statement.orelse]
                statements += [each for handler in getattr(statement, "handlers", []) for each in handler.body]
    return {name for name in found if not name.startswith("_")}


MODULES = modules()
LEFT_OUT_MODULES = [name for name in MODULES if any(f"{name}.".startswith(f"{each}.") for each in LEFT_OUT)]


@pytest.mark.parametrize("module", list(MODULES))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_module_has_names_of_uvicorn(module: str) -> None:
    if module in LEFT_OUT_MODULES:
        with pytest.raises(ImportError):
            importlib.import_module(f"pronghorn.{module}")
        return
    if module == "workers":
        pytest.importorskip("gunicorn")
    if module == "middleware.wsgi":
        pytest.importorskip("a2wsgi")
    ours = importlib.import_module(f"pronghorn.{module}")
    missing = {f"{module}.{name}" for name in names(MODULES[module]) if not hasattr(ours, name)}
    assert missing == {name for name in LEFT_OUT if name.rpartition(".")[0] == module and name not in MODULES}


def test_paths_are_those_of_uvicorn() -> None:
    assert PATHS.keys() == MODULES.keys() - set(LEFT_OUT_MODULES)


@pytest.mark.parametrize("module", [module for module, home in PATHS.items() if home != "itself"])
def test_module_for_path_of_uvicorn_names_its_home(module: str) -> None:
    path = OURS_PACKAGE.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = source.read_text(encoding="utf-8")
    assert PATHS[module] in text
    assert len(text.splitlines()) < 40, "does something itself"


def test_import_of_module_main_keeps_command() -> None:
    text = "import pronghorn; from pronghorn.main import Server; import pronghorn.main; print(pronghorn.main.name)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.stdout == "pronghorn\n", done.stderr


def loaded(package: str) -> Any:
    config = importlib.import_module(package).Config(app, log_config=None)
    config.load()
    return config


async def made(package: str, kind: str) -> Any:
    """An object of this kind from uvicorn or from us."""
    config = loaded(package)
    server = importlib.import_module(package).Server(config)
    server.lifespan = config.lifespan_class(config)
    supervisors = importlib.import_module(f"{package}.supervisors")
    logging = importlib.import_module(f"{package}.logging")
    return {
        "Config": config,
        "Server": server,
        "ServerState": server.server_state,
        "Lifespan": server.lifespan,
        "DefaultFormatter": logging.DefaultFormatter(),
        "AccessFormatter": logging.AccessFormatter(),
        "Multiprocess": supervisors.Multiprocess,
        "ChangeReload": supervisors.ChangeReload,
    }[kind]


KINDS = [
    "Config",
    "Server",
    "ServerState",
    "Lifespan",
    "DefaultFormatter",
    "AccessFormatter",
    "Multiprocess",
    "ChangeReload",
]


@pytest.mark.parametrize("kind", KINDS)
def test_object_has_attributes_of_uvicorn(kind: str) -> None:
    theirs, ours = (asyncio.run(made(package, kind)) for package in ("uvicorn", "pronghorn"))
    public = {name for name in dir(theirs) if not name.startswith("_")}
    missing = {name for name in public if not hasattr(ours, name)}
    if kind in LEFT_OUT:
        assert missing == public - HOOKS[kind]
    else:
        assert missing == {name.partition(".")[2] for name in LEFT_OUT if name.startswith(f"{kind}.")}


def test_every_omission_exists_in_uvicorn() -> None:
    known = {f"{module}.{name}" for module, path in MODULES.items() for name in names(path)} | {*MODULES}
    known |= {*KINDS, "Config.setup_event_loop"}
    known |= {f"Lifespan.{name}" for name in dir(asyncio.run(made("uvicorn", "Lifespan")))}
    assert not LEFT_OUT.keys() - known


@pytest.mark.parametrize("name", ["_serve", "_wait_tasks_to_complete", "_captured_signals"])
def test_private_attribute_used_by_programs_exists(name: str) -> None:
    assert all(hasattr(asyncio.run(made(package, "Server")), name) for package in ("uvicorn", "pronghorn"))


@pytest.mark.parametrize("name", ["get_client_addr", "get_path_with_query_string"])
@pytest.mark.parametrize("client", [("1.2.3.4", 5), ("::1", 5), None])
@pytest.mark.parametrize("query", [b"", b"a=%41&b"])
def test_helper_for_logging_returns_equal_text(name: str, client: Any, query: bytes) -> None:
    scope = {"type": "http", "client": client, "path": "/a b/\u00e9", "query_string": query}
    theirs, ours = (
        getattr(importlib.import_module(f"{each}.protocols.utils"), name) for each in ("uvicorn", "pronghorn")
    )
    assert ours(scope) == theirs(scope)


@pytest.mark.parametrize("name", ["HTTP_PROTOCOLS", "WS_PROTOCOLS", "LIFESPAN", "LOOP_FACTORIES", "LOG_LEVELS"])
def test_table_has_keys_of_uvicorn(name: str) -> None:
    assert list(getattr(pronghorn.config, name)) == list(getattr(uvicorn.config, name))


@pytest.mark.parametrize("name", ["INTERFACES", "STARTUP_FAILURE", "SSL_PROTOCOL_VERSION", "LOG_LEVELS"])
def test_constant_equals_constant_of_uvicorn(name: str) -> None:
    assert getattr(pronghorn.config, name) == getattr(uvicorn.config, name)


def test_same_signals_are_handled() -> None:
    assert pronghorn.server.HANDLED_SIGNALS == uvicorn.server.HANDLED_SIGNALS
