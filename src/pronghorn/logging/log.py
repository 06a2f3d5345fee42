"""The loggers, their default configuration, and the access log. Formatters are in `pronghorn.logging`.

Four loggers: `pronghorn` with a handler on stderr, its children `pronghorn.error` (the server's own lines) and
`pronghorn.asgi` (ASGI messages, at TRACE), and `pronghorn.access` with a handler on stdout. Each has a second name,
with `uvicorn` instead of `pronghorn` (see `aliases`).
"""

from __future__ import annotations

import copy
import logging
import os
import sys
import traceback
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from pronghorn.errors import StartupError
from pronghorn.logging import TRACE_LOG_LEVEL as TRACE_LOG_LEVEL
from pronghorn.logging import AccessFormatter as AccessFormatter
from pronghorn.logging import ColourizedFormatter as ColourizedFormatter
from pronghorn.logging import DefaultFormatter as DefaultFormatter
from pronghorn.logging import JSONFormatter as JSONFormatter
from pronghorn.logging import LineHandler as LineHandler
from pronghorn.logging import bold as bold
from pronghorn.logging.uvicorn_names import NAMES, join_loggers

if TYPE_CHECKING:
    from configparser import RawConfigParser

    from _typeshed import MaybeNone

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


def configure(
    log_config: LogConfig | None, log_level: str | int | None, access_log: bool, use_colors: bool | None
) -> None:
    """Set up the loggers: apply `log_config` (see `log_config.apply`), then the other three options."""
    logging.addLevelName(TRACE_LOG_LEVEL, "TRACE")
    join_loggers()
    if log_config is not None:
        from pronghorn.logging import config_files as configuration  # not imported for --help

        configuration.apply(log_config, use_colors)
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


def report(error: StartupError) -> None:
    """Log, once, why the server could not start; with a traceback if the user's code raised."""
    if not error.is_reported:
        logging.getLogger("pronghorn.error").error("%s", error, exc_info=error.__cause__)
        error.is_reported = True


def say(level: int, message: str, *arguments: object, error: BaseException | None = None) -> None:
    """Log a line of the server, with the traceback of `error`.

    If a user's filter raises, only the line is lost: the exception is reported as `logging` reports a failing handler.
    """
    try:
        logging.getLogger("pronghorn.error").log(level, message, *arguments, exc_info=error, stacklevel=2)
    except Exception:
        if logging.raiseExceptions and sys.stderr is not None:
            traceback.print_exc()


def announce(what: str, how: str = "") -> None:
    """Log an event of this process with its PID, coloured on a terminal."""
    colored = f"{what} [\x1b[36m%d\x1b[0m]{how}"
    logging.getLogger("pronghorn.error").info(f"{what} [%d]{how}", os.getpid(), extra={"color_message": colored})


class AccessLog:
    """The access log of one worker. Created by `create`; used from the event loop's thread.

    If `batchable()`, a line is `level_prefix + client + before_request + method + " " + path + " HTTP/" + version +
    after_request + status_text(status)`, exactly as `logging` would print it, and many go to `write` at once. Otherwise
    each request goes to `record`. For a format of the user's, `pieces` are its parts (see `access_format`), inside JSON
    if `as_json`.
    """

    def __init__(
        self,
        logger: logging.Logger,
        handler: logging.Handler | MaybeNone,
        formatter: logging.Formatter | None,
        access_format: str | None,
    ) -> None:
        self._logger = logger
        self._handler = handler
        self._formatter = formatter
        self._sample = AccessFormatter(ACCESS_FORMAT, use_colors=getattr(formatter, "use_colors", False))
        self._status_texts: dict[int, str] = {}
        # The text around the parts of a line is taken from a formatted sample, so both paths print the same.
        line = self._sample.format(_record(logger, ACCESS_MESSAGE, ("<client>", "<method>", "", "<version>", 200)))
        self.level_prefix, _, rest = line.partition("<client>")
        self.before_request, _, rest = rest.partition("<method>")
        self.after_request = rest.partition("<version>")[2].removesuffix(self.status_text(200))
        self.as_json = access_format == "json"
        self.pieces: list[tuple[int, str]] | None = None
        if access_format is not None and access_format != ACCESS_FORMAT:
            from pronghorn.logging.access_format import parse

            self.pieces = parse(access_format, self.level_prefix.removesuffix(" "))

    @classmethod
    def create(cls, logger: logging.Logger, access_format: str | None = None) -> AccessLog:
        """Create the access log on `logger` as set up now; a later change of its handler or formatter ends batching."""
        handler = logger.handlers[0] if logger.handlers else None
        return cls(logger, handler, None if handler is None else handler.formatter, access_format)

    def enabled(self) -> bool:
        """Return whether anything would be printed at all."""
        return self._logger.isEnabledFor(logging.INFO) and self._logger.hasHandlers()

    def batchable(self) -> bool:
        """Return whether lines may bypass `logging`: only our own handler and formatter would see the records."""
        logger, handler, formatter = self._logger, self._handler, self._formatter
        return (
            logger.handlers == [handler]
            and isinstance(handler, logging.StreamHandler)
            and type(handler) in (LineHandler, logging.StreamHandler)
            and handler.formatter is formatter
            and type(formatter) is AccessFormatter
            and (formatter._fmt == ACCESS_FORMAT or self.pieces is not None)
            and handler.level <= logging.INFO
            and handler.terminator == "\n"
            and not (logger.propagate or logger.filters or handler.filters)
            and logger.isEnabledFor(logging.INFO)
            and logging.getLogRecordFactory() is logging.LogRecord
        )

    def write(self, lines: list[str]) -> None:
        """Write `lines`, given without newlines, at once. A failing stream is reported as `logging` does."""
        text = "\n".join(lines)
        handler = self._handler
        handler.acquire()
        try:
            if isinstance(handler, LineHandler):
                handler.write(text + "\n")
            elif isinstance(handler, logging.StreamHandler):
                handler.stream.write(text + "\n")
                handler.flush()
        except Exception:
            handler.handleError(_record(self._logger, text, ()))
        finally:
            handler.release()

    def record(self, client: str, method: str, path: str, version: str, status: int, line: str | None = None) -> None:
        """Log one request through `logging`. `path` is quoted and has its query, `line` is in the user's format."""
        extra = None if line is None else {"access_line": line}
        self._logger.info(ACCESS_MESSAGE, client, method, path, version, status, extra=extra)

    def status_text(self, status: int) -> str:
        """The status with its phrase, in colour: `200 OK`."""
        text = self._status_texts.get(status)
        if text is None:
            text = self._status_texts[status] = self._sample.get_status_code(status)
        return text


def _record(logger: logging.Logger, message: str, arguments: tuple[object, ...]) -> logging.LogRecord:
    return logging.LogRecord(logger.name, logging.INFO, __file__, 0, message, arguments, None)
