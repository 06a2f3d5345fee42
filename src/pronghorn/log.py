"""What the server writes: the loggers, their formats and colours, and the fast access log.

Four loggers: `pronghorn` with a handler on stderr, its children `pronghorn.error` (the server's own lines) and
`pronghorn.asgi` (the messages of ASGI, at TRACE), and `pronghorn.access` with a handler on stdout. Each has a second
name, `uvicorn` in the place of `pronghorn` (see `aliases`).
"""

from __future__ import annotations

import copy
import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pronghorn.aliases import join_loggers
from pronghorn.errors import StartupError
from pronghorn.outlet import LineHandler as LineHandler

if TYPE_CHECKING:
    from configparser import RawConfigParser

LogConfig: TypeAlias = "dict[str, Any] | str | os.PathLike[str] | RawConfigParser | IO[Any]"

TRACE_LOG_LEVEL = 5
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

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {"()": "pronghorn.log.DefaultFormatter", "fmt": DEFAULT_FORMAT, "use_colors": None},
        "access": {"()": "pronghorn.log.AccessFormatter", "fmt": ACCESS_FORMAT, "use_colors": None},
    },
    "handlers": {
        "default": {"class": "pronghorn.log.LineHandler", "formatter": "default", "stream": "ext://sys.stderr"},
        "access": {"class": "pronghorn.log.LineHandler", "formatter": "access", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "pronghorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "pronghorn.error": {"level": "INFO"},
        "pronghorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}


def configure(
    log_config: LogConfig | None, log_level: str | int | None, access_log: bool, use_colors: bool | None
) -> None:
    """Set up the loggers: `log_config` first (see `log_config.apply`), then what the other three change of it."""
    logging.addLevelName(TRACE_LOG_LEVEL, "TRACE")
    join_loggers()
    if log_config is not None:
        from pronghorn import log_config as configuration  # not for those who only ask for help

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
    """A copy of `log_config`, shaped as LOGGING_CONFIG, whose `default` handler writes JSON."""
    changed = copy.deepcopy(log_config)
    changed["formatters"]["json"] = {"()": "pronghorn.log.JSONFormatter"}
    changed["handlers"]["default"]["formatter"] = "json"
    return changed


def report(error: StartupError) -> None:
    """Log why the server could not start; with a traceback where it was the user's code that raised."""
    logging.getLogger("pronghorn.error").error("%s", error, exc_info=error.__cause__)


def say(level: int, message: str, *arguments: object, error: BaseException | None = None) -> None:
    """Log a line of the server's own, to which `error` adds its traceback.

    A filter of the user's that raises costs nothing but the line: it is reported as `logging` reports a handler that
    fails.
    """
    try:
        logging.getLogger("pronghorn.error").log(level, message, *arguments, exc_info=error, stacklevel=2)
    except Exception:
        if logging.raiseExceptions and sys.stderr is not None:
            traceback.print_exc()


def announce(what: str, how: str = "") -> None:
    """Log what became of this process, its number coloured on a terminal."""
    colored = f"{what} [\x1b[36m%d\x1b[0m]{how}"
    logging.getLogger("pronghorn.error").info(f"{what} [%d]{how}", os.getpid(), extra={"color_message": colored})


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"


class ColourizedFormatter(logging.Formatter):
    """Adds `%(levelprefix)s`, coloured on a terminal, where a record's `color_message` also replaces its message."""

    level_colours: ClassVar[dict[int, str]] = {
        TRACE_LOG_LEVEL: "34",  # blue
        logging.DEBUG: "36",  # cyan
        logging.INFO: "32",  # green
        logging.WARNING: "33",  # yellow
        logging.ERROR: "31",  # red
        logging.CRITICAL: "91",  # bright red
    }

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        use_colors: bool | None = None,
    ) -> None:
        """`use_colors=None` means: on a terminal."""
        self.use_colors = self.should_use_colors() if use_colors is None else use_colors
        super().__init__(fmt, datefmt, style)

    def should_use_colors(self) -> bool:
        return _is_terminal(sys.stdout)

    def color_level_name(self, level_name: str, level_no: int) -> str:
        return _coloured(level_name, self.level_colours.get(level_no))

    def formatMessage(self, record: logging.LogRecord) -> str:
        record = copy.copy(record)
        padding = " " * (8 - len(record.levelname))
        name = record.levelname
        if self.use_colors:
            name = self.color_level_name(name, record.levelno)
            if (color_message := getattr(record, "color_message", None)) is not None:
                record.msg = color_message
                record.message = record.getMessage()
        record.__dict__["levelprefix"] = f"{name}:{padding}"
        return super().formatMessage(record)


class DefaultFormatter(ColourizedFormatter):
    """For everything but the access log: stderr decides on colours."""

    def should_use_colors(self) -> bool:
        return _is_terminal(sys.stderr)


class AccessFormatter(ColourizedFormatter):
    """Adds `%(client_addr)s`, `%(request_line)s` and `%(status_code)s`, from the five arguments of an access record.

    A record with a line in the format of `--access-log-format` (its `access_line`) is that line.
    """

    status_colours: ClassVar[dict[int, str]] = {1: "97", 2: "32", 3: "33", 4: "31", 5: "91"}

    def get_status_code(self, status_code: int) -> str:
        """The status with its phrase."""
        try:
            phrase = HTTPStatus(status_code).phrase
        except ValueError:
            phrase = ""
        text = f"{status_code} {phrase}"
        return _coloured(text, self.status_colours.get(status_code // 100)) if self.use_colors else text

    def formatMessage(self, record: logging.LogRecord) -> str:
        if (line := getattr(record, "access_line", None)) is not None:
            return str(line)
        arguments: Any = record.args
        client, method, path, version, status = arguments
        request_line = f"{method} {path} HTTP/{version}"
        record = copy.copy(record)
        record.__dict__.update(
            client_addr=client,
            request_line=bold(request_line) if self.use_colors else request_line,
            status_code=self.get_status_code(int(status)),
        )
        return super().formatMessage(record)


class JSONFormatter(logging.Formatter):
    """An object in one line: `time`, `level`, `logger`, `message` and, if there is one, `exception` and `stack`."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().rstrip("\n"),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return json.dumps(fields)


class AccessLog:
    """The access log of one worker. Made by `create`; used from the event loop's thread.

    Where `batchable`, a line is `level_prefix + client + before_request + method + " " + path + " HTTP/" + version +
    after_request + status_text(status)`, exactly what the logging path would print, and many go to `write` at once.
    Otherwise each goes to `record`. In a format of the user's, `pieces` say what it is made of (see `access_format`),
    inside JSON if `as_json`.
    """

    def __init__(self, logger: logging.Logger, handler: Any, formatter: Any, access_format: str | None) -> None:
        self._logger = logger
        self._handler = handler
        self._formatter = formatter
        self._sample = AccessFormatter(ACCESS_FORMAT, use_colors=getattr(formatter, "use_colors", False))
        self._status_texts: dict[int, str] = {}
        # What surrounds the parts of a line is read off a formatted one, so it is right by construction.
        line = self._sample.format(_record(logger, ACCESS_MESSAGE, ("<client>", "<method>", "", "<version>", 200)))
        self.level_prefix, _, rest = line.partition("<client>")
        self.before_request, _, rest = rest.partition("<method>")
        self.after_request = rest.partition("<version>")[2].removesuffix(self.status_text(200))
        self.as_json = access_format == "json"
        self.pieces: list[tuple[int, str]] | None = None
        if access_format is not None and access_format != ACCESS_FORMAT:
            from pronghorn.access_format import parse

            self.pieces = parse(access_format, self.level_prefix.removesuffix(" "))

    @classmethod
    def create(cls, logger: logging.Logger, access_format: str | None = None) -> AccessLog:
        """The access log on `logger` as it is set up now; a later change of its handler or formatter ends batching."""
        handler = logger.handlers[0] if logger.handlers else None
        return cls(logger, handler, handler and handler.formatter, access_format)

    def enabled(self) -> bool:
        """Whether anything would be printed at all."""
        return self._logger.isEnabledFor(logging.INFO) and self._logger.hasHandlers()

    def batchable(self) -> bool:
        """Whether lines may bypass `logging`: nothing but our own handler and formatter would have seen the record."""
        logger, handler, formatter = self._logger, self._handler, self._formatter
        return (
            logger.handlers == [handler]
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
        """Write `lines`, each without its end, in one piece. A stream that fails is reported as `logging` does."""
        text = "\n".join(lines)
        handler = self._handler
        handler.acquire()
        try:
            if type(handler) is LineHandler:
                handler.write(text + "\n")
            else:
                handler.stream.write(text + "\n")
                handler.flush()
        except Exception:
            handler.handleError(_record(self._logger, text, ()))
        finally:
            handler.release()

    def record(self, client: str, method: str, path: str, version: str, status: int, line: str | None = None) -> None:
        """Log one request through `logging`; `path` is quoted and has its query, `line` is in the user's format."""
        extra = None if line is None else {"access_line": line}
        self._logger.info(ACCESS_MESSAGE, client, method, path, version, status, extra=extra)

    def line(self, client: str, method: str, path: str, version: str, status: int) -> str:
        """The line that `record` would print, without its end."""
        return (
            f"{self.level_prefix}{client}{self.before_request}{method} {path} HTTP/{version}"
            f"{self.after_request}{self.status_text(status)}"
        )

    def status_text(self, status: int) -> str:
        """`200 OK`, in its colour."""
        text = self._status_texts.get(status)
        if text is None:
            text = self._status_texts[status] = self._sample.get_status_code(status)
        return text


def _record(logger: logging.Logger, message: str, arguments: tuple[object, ...]) -> logging.LogRecord:
    return logging.LogRecord(logger.name, logging.INFO, __file__, 0, message, arguments, None)


def _coloured(text: str, colour: str | None) -> str:
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"


def _is_terminal(stream: Any) -> bool:
    """Whether `stream` is a terminal; a process may have been started with its standard streams closed."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:
        return False
