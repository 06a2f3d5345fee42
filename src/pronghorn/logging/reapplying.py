"""Apply a changed `--log-config` while the application runs.

`logging.config` assumes an empty process: it disables the loggers that a configuration does not name, and resets those
below one that it names. By now they are the application's, so they are put back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pronghorn.logging import config_files
from pronghorn.logging.uvicorn_names import NAMES

if TYPE_CHECKING:
    from pronghorn.logging.defaults import LogConfig

_ROOT = "root"


def reapply(log_config: LogConfig, use_colors: bool | None) -> None:
    """Set up the loggers that `log_config` names, and no others. Raises StartupError; then no logger has changed."""
    before = {name: _state(logger) for name, logger in _loggers().items()}
    named: set[str] = set()
    try:
        named = {NAMES.get(name, name) for name in config_files.apply(log_config, use_colors)} | {_ROOT}
    finally:
        for name, logger in _loggers().items():
            if name in before and name not in named:
                logger.__dict__.update(before[name])
        logging.root.setLevel(logging.root.level)  # makes all loggers forget what they have cached


def _loggers() -> dict[str, logging.Logger]:
    """All loggers but uvicorn's, which are ours under other names."""
    known = list(logging.root.manager.loggerDict.items())  # at once: other threads may add some
    ours = {name: each for name, each in known if isinstance(each, logging.Logger) and name not in NAMES}
    return {_ROOT: logging.root, **ours}


def _state(logger: logging.Logger) -> dict[str, Any]:
    return {
        name: value.copy() if isinstance(value, list | dict) else value
        for name, value in logger.__dict__.items()
        if name not in ("name", "parent", "manager", "_cache")
    }
