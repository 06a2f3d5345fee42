"""The access log of one worker."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pronghorn.logging.defaults import ACCESS_FORMAT, ACCESS_MESSAGE
from pronghorn.logging.formatters import AccessFormatter, LineHandler

if TYPE_CHECKING:
    from _typeshed import MaybeNone


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
        id_field: str,
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

            self.pieces = parse(access_format, self.level_prefix.removesuffix(" "), id_field)

    @classmethod
    def create(
        cls, logger: logging.Logger, access_format: str | None = None, id_field: str = "x-request-id"
    ) -> AccessLog:
        """Create the access log on `logger` as set up now; a later change of its handler or formatter ends batching.

        `id_field` is the lower-case name of the header field with a request's ID.
        """
        handler = logger.handlers[0] if logger.handlers else None
        return cls(logger, handler, None if handler is None else handler.formatter, access_format, id_field)

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
        """Write `lines`, given without newlines, at once. A failing stream is reported by the handler."""
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
