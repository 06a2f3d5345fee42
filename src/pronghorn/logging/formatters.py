"""Formatters, under uvicorn's names, and a handler, for use in logging configurations."""

from __future__ import annotations

import copy
import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Literal, TypeAlias

from pronghorn.logging.outlet import LineHandler as LineHandler

Colour: TypeAlias = Callable[[str], str]

TRACE_LOG_LEVEL = 5


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"


def _coloured(colour: str, text: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


class ColourizedFormatter(logging.Formatter):
    """Adds `%(levelprefix)s`, coloured on a terminal, where a record's `color_message` also replaces its message."""

    level_name_colors: ClassVar[Mapping[int, Colour]] = {
        TRACE_LOG_LEVEL: partial(_coloured, "34"),  # blue
        logging.DEBUG: partial(_coloured, "36"),  # cyan
        logging.INFO: partial(_coloured, "32"),  # green
        logging.WARNING: partial(_coloured, "33"),  # yellow
        logging.ERROR: partial(_coloured, "31"),  # red
        logging.CRITICAL: partial(_coloured, "91"),  # bright red
    }
    """The function that colours the name of a level, by level."""

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        use_colors: bool | None = None,
    ) -> None:
        """With `use_colors=None`, use colours on a terminal."""
        self.use_colors = self.should_use_colors() if use_colors is None else use_colors
        super().__init__(fmt, datefmt, style)

    def should_use_colors(self) -> bool:
        return _is_terminal(sys.stdout)

    def color_level_name(self, level_name: str, level_no: int) -> str:
        """Return the name in colour. Public, as subclasses of uvicorn's formatter override it."""
        return self.level_name_colors.get(level_no, str)(level_name)

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
    """For everything but the access log: uses colours if stderr is a terminal."""

    def should_use_colors(self) -> bool:
        return _is_terminal(sys.stderr)


class AccessFormatter(ColourizedFormatter):
    """Adds `%(client_addr)s`, `%(request_line)s` and `%(status_code)s`, from the five arguments of an access record.

    A record with an `access_line`, in the format of `--access-log-format`, is formatted as that line.
    """

    status_code_colours: ClassVar[Mapping[int, Colour]] = {
        1: partial(_coloured, "97"),  # bright white
        2: partial(_coloured, "32"),  # green
        3: partial(_coloured, "33"),  # yellow
        4: partial(_coloured, "31"),  # red
        5: partial(_coloured, "91"),  # bright red
    }
    """The function that colours a status, by status class."""

    def get_status_code(self, status_code: int) -> str:
        """The status with its phrase."""
        try:
            phrase = HTTPStatus(status_code).phrase
        except ValueError:
            phrase = ""
        text = f"{status_code} {phrase}"
        return self.status_code_colours.get(status_code // 100, str)(text) if self.use_colors else text

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
    """A JSON object in one line: `time`, `level`, `logger`, `message` and, if present, `exception` and `stack`.

    Beside them, it has the ids of the request in whose context it is logged, and the record's `json_fields`.
    """

    def format(self, record: logging.LogRecord) -> str:
        from pronghorn.logging import request_context  # only where lines are written as JSON

        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, object] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().rstrip("\n"),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        fields |= getattr(record, "json_fields", None) or request_context.ids()
        return json.dumps(fields)


def _is_terminal(stream: Any) -> bool:
    """Return whether `stream` is a terminal. A process may have been started with closed standard streams."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:
        return False
