"""The access log: lines formatted here and written once a turn, where nobody but our own handler would see them."""

from urllib.parse import quote

from .scan import is_plain_path

# A turn that answers more than this writes more than once.
LINES_AT_ONCE = 256


class AccessLines:
    """Gathers lines for `log`, a `pronghorn.log.AccessLog`; `call_soon` is the loop's."""

    __slots__ = ("_after", "_before", "_call_soon", "_lines", "_log", "_prefix")

    def __init__(self, log, call_soon):
        self._log = log
        self._call_soon = call_soon
        self._lines = []
        self._prefix = log.level_prefix
        self._before = log.before_request
        self._after = log.after_request

    def add(self, client, scope, status):
        """A response with `status` starts, to `client` (`host:port` or empty). Raises where `scope` was spoilt."""
        path = scope["path"]
        if not isinstance(path, str):
            raise TypeError(f"a path is text, not {type(path).__name__}")
        if not is_plain_path(path):
            path = quote(path)
        query = scope["query_string"]
        if query:
            path = path + "?" + query.decode("ascii")
        if not self._lines:
            if not self._log.batchable():
                self._log.record(client, scope["method"], path, scope["http_version"], status)
                return
            self._call_soon(self.flush)
        request_line = f"{scope['method']} {path} HTTP/{scope['http_version']}"
        status_text = self._log.status_text(status)
        self._lines.append(f"{self._prefix}{client}{self._before}{request_line}{self._after}{status_text}")
        if len(self._lines) >= LINES_AT_ONCE:
            self.flush()

    def flush(self):
        """Write what was gathered."""
        lines = self._lines
        if lines:
            self._lines = []
            self._log.write(lines)
