"""Load an application from its import string. Errors are StartupErrors, with one line that gives the reason and advice.

An error has a `__cause__` only if the user's own code raised: its traceback is worth showing.
"""

from __future__ import annotations

import difflib
import glob
import importlib
import inspect
import logging
import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from pronghorn.errors import StartupError

_log = logging.getLogger("pronghorn.error")


def resolve(target: str) -> Any:
    """Import the object named by `module:attribute[.attribute…]`."""
    module_name, _, attributes = target.partition(":")
    if not module_name or not attributes:
        example = f'"{_as_module(module_name) or "main"}:{attributes or "app"}"'
        raise StartupError(f'Import string "{target}" must be in format "<module>:<attribute>". Example: {example}.')
    if _as_module(module_name) != module_name:
        raise StartupError(
            f'Could not import module "{module_name}". Expected the name of a module, not of a file: '
            f'"{_as_module(module_name)}:{attributes}".'
        )
    module = found = _import(module_name)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise StartupError(
                f'Attribute "{attributes}" not found in module "{module_name}". {_suggestion(module, attributes)}'
            ) from None
    return found


def resolve_name(value: Any, known: Mapping[str, str | None]) -> Any:
    """Resolve `value`: a `known` name, an import string, or an object, which is returned unchanged."""
    if isinstance(value, str):
        value = known.get(value, value)
    return resolve(value) if isinstance(value, str) else value


def load(target: Any, app_dir: str | None = None) -> Any:
    """Import `target`, looking in `app_dir` first; an object is returned unchanged."""
    if not isinstance(target, str):
        return target
    look_in(app_dir)
    try:
        return resolve(target)
    except StartupError as error:
        raise StartupError(f"Error loading ASGI app. {error}") from error.__cause__


def look_in(app_dir: str | None) -> None:
    """Make `app_dir` the first directory that modules are imported from."""
    if app_dir is not None:
        directory = os.path.abspath(app_dir)
        if directory not in sys.path[:1]:
            sys.path.insert(0, directory)


def make_application(loaded: Any, target: Any, is_factory_declared: bool) -> Any:
    """Return the application that was `loaded` from `target`, or that it creates if it is a factory."""
    app = loaded
    if is_factory_declared:
        app = call_factory(loaded)
    elif is_factory(loaded):
        app = call_factory(loaded)
        _log.warning("ASGI app factory detected. Using it, but please consider setting the --factory flag explicitly.")
    if not callable(app):
        kind = "None" if app is None else f"of type {type(app).__name__}"
        raise StartupError(f"Error loading ASGI app. {target!r} is not callable: it is {kind}.")
    return app


def call_factory(factory: Any) -> Any:
    """Call `factory` without arguments and return the application."""
    try:
        app = factory()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StartupError(f"Error loading ASGI app factory: {reason}") from _from_user(error)
    if not callable(app):
        kind = type(app).__name__
        if inspect.iscoroutine(app):
            app.close()
        raise StartupError(f"Error loading ASGI app factory: it returned an object of type {kind}, not an application.")
    return app


def is_factory(app: Any) -> bool:
    """True if `app` takes no arguments, not even `*args`: every application takes some."""
    try:
        signature = inspect.signature(app)
        signature.bind()
    except (TypeError, ValueError):
        return False
    return all(parameter.kind is not parameter.VAR_POSITIONAL for parameter in signature.parameters.values())


def _as_module(path: str) -> str:
    """Convert the path of a file to a module name; a module name is returned unchanged."""
    if path.endswith(".py") or "/" in path or os.sep in path or path.startswith("."):
        path = path.removesuffix(".py").replace(os.sep, "/").strip("./").replace("/", ".")
    return path


def _suggestion(module: Any, attribute: str) -> str:
    """Advice for an attribute that `module` does not have."""
    name = module.__name__
    public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    candidates = [key for key, value in public.items() if _looks_like_an_application(value)]
    candidates = candidates or difflib.get_close_matches(attribute, public, n=1)
    if candidates:
        return f'Did you mean "{name}:{candidates[0]}"?'
    return f"The imported module is {getattr(module, '__file__', None) or 'built in'}."


def _looks_like_an_application(value: Any) -> bool:
    """True if `value` is a coroutine function of three arguments, which only an ASGI 3 application is."""
    try:
        inspect.signature(value).bind(None, None, None)
        function = value if inspect.isfunction(value) else type(value).__call__
        return not inspect.isclass(value) and inspect.iscoroutinefunction(function)
    except Exception:  # a lazy proxy may raise anything
        return False


def _search_advice(missing: str) -> str:
    """Advice for a module that could not be found."""
    directory = os.path.abspath(sys.path[0])
    if not os.path.isdir(directory):
        return f"The directory {directory} does not exist."
    file = os.path.join("*", *missing.split("."))
    for found in sorted(
        glob.glob(f"{file}.py", root_dir=directory) + glob.glob(f"{file}/__init__.py", root_dir=directory)
    ):
        return f"Found {found}: try --app-dir {os.path.join(directory, found.split(os.sep)[0])}."
    return f'"{missing}" is neither in {directory} nor installed. To look elsewhere, use --app-dir.'


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module itself or one of its parent packages is missing; any other name is missing inside the module.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise StartupError(f'Could not import module "{name}". {_search_advice(error.name)}') from None
        cause: Exception = error
    except Exception as error:
        cause = error
    line = f'Module "{name}" raised {type(cause).__name__} when it was imported.'
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        line += f' Is "{cause.name.partition(".")[0]}" installed in {sys.prefix}?'
    raise StartupError(line) from _from_user(cause)


def _from_user(error: Exception) -> Exception:
    """Return `error` with a traceback that begins in the user's code."""

    def is_ours(traceback: TracebackType) -> bool:
        file = traceback.tb_frame.f_code.co_filename
        return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")

    traceback = error.__traceback__
    while traceback is not None and is_ours(traceback):
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
