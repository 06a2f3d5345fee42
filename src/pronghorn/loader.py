"""From an import string to the application. What cannot be loaded raises StartupError, with the line that says why.

The error has a `__cause__`, whose traceback is worth showing, only when it was the user's own code that raised.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from types import TracebackType
from typing import Any

from pronghorn.errors import StartupError


def resolve(target: str) -> Any:
    """The object that `module:attribute[.attribute…]` names."""
    module_name, _, attributes = target.partition(":")
    if not module_name or not attributes:
        raise StartupError(f'Import string "{target}" must be in format "<module>:<attribute>".')
    found = _import(module_name)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise StartupError(f'Attribute "{attributes}" not found in module "{module_name}".') from None
    return found


def load(target: Any, app_dir: str | None = None) -> Any:
    """The object that `target` names, looked for in `app_dir` first; or `target` itself where it is not a string."""
    if not isinstance(target, str):
        return target
    if app_dir is not None:
        directory = os.path.abspath(app_dir)
        if directory not in sys.path[:1]:
            sys.path.insert(0, directory)
    try:
        return resolve(target)
    except StartupError as error:
        raise StartupError(f"Error loading ASGI app. {error}") from error.__cause__


def call_factory(factory: Any) -> Any:
    """The application that `factory`, called without arguments, returns."""
    try:
        app = factory()
    except Exception as error:
        raise StartupError(f"Error loading ASGI app factory: {error}") from _from_user(error)
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


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module asked for, or a package on the way to it, is missing; any other name is an import that it makes.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise StartupError(f'Could not import module "{name}".') from None
        cause: Exception = error
    except Exception as error:
        cause = error
    raise StartupError(f'Module "{name}" raised {type(cause).__name__} when it was imported.') from _from_user(cause)


def _from_user(error: Exception) -> Exception:
    """`error` with a traceback that begins in the user's code rather than here."""

    def is_ours(traceback: TracebackType) -> bool:
        file = traceback.tb_frame.f_code.co_filename
        return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")

    traceback = error.__traceback__
    while traceback is not None and is_ours(traceback):
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
