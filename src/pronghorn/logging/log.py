"""Set up the loggers, and log the server's own lines."""

from __future__ import annotations

import copy
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from pronghorn.errors import StartupError
from pronghorn.logging.defaults import LOG_LEVELS
from pronghorn.logging.formatters import TRACE_LOG_LEVEL, JSONFormatter
from pronghorn.logging.uvicorn_names import join_loggers

if TYPE_CHECKING:
    from pronghorn.logging.defaults import LogConfig


def configure(
    log_config: LogConfig | None, log_level: str | int | None, access_log: bool, use_colors: bool | None
) -> None:
    """Set up the loggers: apply `log_config` (see `config_files.apply`), then the other three options."""
    logging.addLevelName(TRACE_LOG_LEVEL, "TRACE")
    join_loggers()
    if log_config is not None:
        from pronghorn.logging import config_files  # not imported for --help

        config_files.apply(log_config, use_colors)
    _apply_options(log_level, access_log)


def reconfigure(log_config: LogConfig, log_level: str | int | None, access_log: bool, use_colors: bool | None) -> None:
    """Apply a changed `log_config` while the application runs (see `reapplying`), and the other three options."""
    from pronghorn.logging import reapplying

    reapplying.reapply(log_config, use_colors)
    _apply_options(log_level, access_log)


def _apply_options(log_level: str | int | None, access_log: bool) -> None:
    if log_level is not None:
        level = LOG_LEVELS[log_level.lower()] if isinstance(log_level, str) else log_level
        for name in ("pronghorn.error", "pronghorn.access", "pronghorn.asgi"):
            logging.getLogger(name).setLevel(level)
    if not access_log:
        access = logging.getLogger("pronghorn.access")
        access.handlers.clear()
        access.propagate = False


def as_json(log_config: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `log_config`, which is structured as LOGGING_CONFIG, whose `default` handler writes JSON."""
    changed = copy.deepcopy(log_config)
    changed["formatters"]["json"] = {"()": "pronghorn.logging.JSONFormatter"}
    changed["handlers"]["default"]["formatter"] = "json"
    return changed


def writes_json() -> bool:
    """Return whether the server's own lines are written as JSON."""
    logger: logging.Logger | None = logging.getLogger("pronghorn.error")
    while logger is not None:
        if any(isinstance(handler.formatter, JSONFormatter) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def report(error: StartupError) -> None:
    """Log, once, why the server could not start; with a traceback if the user's code raised."""
    if not error.is_reported:
        logging.getLogger("pronghorn.error").error("%s", error, exc_info=error.__cause__)
        error.is_reported = True


def say(
    level: int,
    message: str,
    *arguments: object,
    error: BaseException | None = None,
    stack: str | None = None,
    fields: dict[str, object] | None = None,
) -> None:
    """Log a line of the server, with the traceback of `error`, or with the `stack` of another thread.

    `fields` are keys of the line in JSON. If a user's filter raises, only the line is lost: the exception is reported
    as `logging` reports a failing handler.
    """
    logger = logging.getLogger("pronghorn.error")
    extra = None if fields is None else {"json_fields": fields}
    try:
        if stack is None:
            logger.log(level, message, *arguments, exc_info=error, extra=extra, stacklevel=2)
        elif logger.isEnabledFor(level):
            caller = logger.findCaller(stacklevel=2)
            record = logger.makeRecord(
                logger.name, level, caller[0], caller[1], message, arguments, None, caller[2], extra, stack
            )
            logger.handle(record)
    except Exception:
        if logging.raiseExceptions and sys.stderr is not None:
            traceback.print_exc()


def announce(what: str, how: str = "", number: int | None = None) -> None:
    """Log an event with a number, coloured on a terminal: that of a thread, or the PID of this process."""
    colored = f"{what} [\x1b[36m%d\x1b[0m]{how}"
    number = os.getpid() if number is None else number
    logging.getLogger("pronghorn.error").info(f"{what} [%d]{how}", number, extra={"color_message": colored})
