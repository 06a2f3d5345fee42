"""The default configuration of the loggers, and the names that an option gives to levels.

Four loggers: `pronghorn` with a handler on stderr, its children `pronghorn.error` (the server's own lines) and
`pronghorn.asgi` (ASGI messages, at TRACE), and `pronghorn.access` with a handler on stdout. Each has a second name,
with `uvicorn` instead of `pronghorn` (see `uvicorn_names`).
"""

from __future__ import annotations

import copy
import logging
import os
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from pronghorn.logging.formatters import TRACE_LOG_LEVEL
from pronghorn.logging.uvicorn_names import NAMES

if TYPE_CHECKING:
    from configparser import RawConfigParser

LogConfig: TypeAlias = "dict[str, Any] | str | os.PathLike[str] | RawConfigParser | IO[Any]"

LOG_LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE_LOG_LEVEL,
}

DEFAULT_FORMAT = "%(levelprefix)s %(message)s"
ACCESS_FORMAT = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'
ACCESS_MESSAGE = '%s - "%s %s HTTP/%s" %d'

LOGGERS: dict[str, dict[str, Any]] = {
    "pronghorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
    "pronghorn.error": {"level": "INFO"},
    "pronghorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
}
"""The default entries of our loggers in LOGGING_CONFIG, which a program may change."""

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {"()": "pronghorn.logging.DefaultFormatter", "fmt": DEFAULT_FORMAT, "use_colors": None},
        "access": {"()": "pronghorn.logging.AccessFormatter", "fmt": ACCESS_FORMAT, "use_colors": None},
    },
    "handlers": {
        "default": {"class": "pronghorn.logging.LineHandler", "formatter": "default", "stream": "ext://sys.stderr"},
        "access": {"class": "pronghorn.logging.LineHandler", "formatter": "access", "stream": "ext://sys.stdout"},
    },
    "loggers": copy.deepcopy(LOGGERS),
}
# Programs that know only uvicorn's names find the same entries under them.
LOGGING_CONFIG["loggers"].update(
    {theirs: LOGGING_CONFIG["loggers"][ours] for theirs, ours in NAMES.items() if ours in LOGGERS}
)
