"""From an import string to the application. What cannot be loaded raises StartupError, with a line that says why and
what may help.

The error has a `__cause__`, whose traceback is worth showing, only when it was the user's own code that raised.
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
    """The object that `module:attribute[.attribute…]` names."""
    module_name, _, attributes = target.partition(":")
    if not module_name or not attributes:
        example = f'"{_as_module(module_name) or "main"}:{attributes or "app"}"'
        raise StartupError(
            f'Import string "{target}" must be in format "<module>:<attribute>". An example is {example}.'
        )
    if _as_module(module_name) != module_name:
        raise StartupError(
            f'Could not import module "{module_name}". It is to be the name of a module, not of a file: '
            f'"{_as_module(module_name)}:{attributes}".'
        )
    module = found = _import(module_name)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise StartupError(
                f'Attribute "{attributes}" not found in module "{module_name}". {_instead(module, attributes)}'
            ) from None
    return found


def resolve_name(value: Any, known: Mapping[str, str | None]) -> Any:
    """What `value` stands for: one of the names that are `known`, an import string, or the object itself."""
    if isinstance(value, str):
        value = known.get(value, value)
    return resolve(value) if isinstance(value, str) else value


def load(target: Any, app_dir: str | None = None) -> Any:
    """The object that `target` names, looked for in `app_dir` first; or `target` itself where it is not a string."""
    if not isinstance(target, str):
        return target
    look_in(app_dir)
    try:
        return resolve(target)
    except StartupError as error:
        raise StartupError(f"Error loading ASGI app. {error}") from error.__cause__


def look_in(app_dir: str | None) -> None:
    """Let modules be found in `app_dir` first."""
    if app_dir is not None:
        directory = os.path.abspath(app_dir)
        if directory not in sys.path[:1]:
            sys.path.insert(0, directory)


def make_application(loaded: Any, target: Any, is_factory_declared: bool) -> Any:
    """The application that was `loaded` from `target`; if that is a factory, what it returns."""
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
    """The application that `factory`, called without arguments, returns."""
    try:
        app = factory()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StartupError(f"Error loading ASGI app factory: {reason}") from _from_user(error)
    if not callable(app):
        kind = type(app).__name__
        if inspect.iscoroutine(app):
            app.close()
        raise StartupError(f"Error loading ASGI app factory: it returned no application, but an object of type {kind}.")
    return app


def is_factory(app: Any) -> bool:
    """Whether `app` can only be a factory: it takes no arguments, and not `*args`, which could be an application's."""
    try:
        signature = inspect.signature(app)
        signature.bind()
    except (TypeError, ValueError):
        return False
    return all(parameter.kind is not parameter.VAR_POSITIONAL for parameter in signature.parameters.values())


def _as_module(path: str) -> str:
    """The name of the module in the file `path`; a name is itself."""
    if path.endswith(".py") or "/" in path or os.sep in path or path.startswith("."):
        path = path.removesuffix(".py").replace(os.sep, "/").strip("./").replace("/", ".")
    return path


def _instead(module: Any, attribute: str) -> str:
    """What may have been meant by an attribute that `module` lacks."""
    name = module.__name__
    public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    meant = [key for key, value in public.items() if _looks_like_an_application(value)]
    meant = meant or difflib.get_close_matches(attribute, public, n=1)
    if meant:
        return f'Did you mean "{name}:{meant[0]}"?'
    return f"The module that was imported is {getattr(module, '__file__', None) or 'built in'}."


def _looks_like_an_application(value: Any) -> bool:
    """Whether `value` is surely ASGI 3: nothing else is a coroutine function of three arguments."""
    try:
        inspect.signature(value).bind(None, None, None)
        function = value if inspect.isfunction(value) else type(value).__call__
        return not inspect.isclass(value) and inspect.iscoroutinefunction(function)
    except Exception:  # whatever a proxy says when it is looked at
        return False


def _whereabouts(missing: str) -> str:
    """Where the module `missing` was looked for, or where it is."""
    directory = os.path.abspath(sys.path[0])
    if not os.path.isdir(directory):
        return f"The directory {directory} does not exist."
    file = os.path.join("*", *missing.split("."))
    for found in sorted(
        glob.glob(f"{file}.py", root_dir=directory) + glob.glob(f"{file}/__init__.py", root_dir=directory)
    ):
        return f"There is {found}: try --app-dir {os.path.join(directory, found.split(os.sep)[0])}."
    return f'There is no "{missing}" in {directory}, nor is it installed; --app-dir names another directory.'


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module asked for, or a package on the way to it, is missing; any other name is an import that it makes.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise StartupError(f'Could not import module "{name}". {_whereabouts(error.name)}') from None
        cause: Exception = error
    except Exception as error:
        cause = error
    line = f'Module "{name}" raised {type(cause).__name__} when it was imported.'
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        line += f' Is "{cause.name.partition(".")[0]}" installed in {sys.prefix}?'
    raise StartupError(line) from _from_user(cause)


def _from_user(error: Exception) -> Exception:
    """`error` with a traceback that begins in the user's code rather than here."""

    def is_ours(traceback: TracebackType) -> bool:
        file = traceback.tb_frame.f_code.co_filename
        return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")

    traceback = error.__traceback__
    while traceback is not None and is_ours(traceback):
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
