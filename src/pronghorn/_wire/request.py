"""One ASGI exchange: its scope, what `receive()` gives and what `send()` does (ASGI 3.0, HTTP 2.3 or 2.5)."""

from pronghorn.errors import ClientDisconnected

from .exchange import Exchange, Turn, as_bytes

# How far the response is.
WAITING = 0  # nothing said
STARTED = 1  # the head is known, the body is being sent
SENDING_FILE = 2  # a file is on its way, nothing may come between
TRAILERS = 3  # the body is complete, trailers are due
COMPLETE = 4

# A part of a body from this size on is given as it is: to join it with the next costs more than another message.
LARGE_PART = 32768


class Request(Exchange):
    """An HTTP exchange. Knows framing only through its `Encoder`, the network only through its `Channel`."""

    __slots__ = (
        "_announced",
        "_channel",
        "_disconnected",
        "_heard",
        "_lost",
        "_parts",
        "_phase",
        "_taken",
        "_told",
        "_trailers",
        "_with_trailers",
        "began",
        "body_done",
        "buffered",
        "encoder",
        "head",
        "scope",
    )

    def __init__(self, head, encoder, channel, shared, scope):
        self.begin(shared)
        self._channel = channel
        self._parts = None
        self._announced = False
        self._trailers = None
        self._phase = WAITING
        self._taken = False
        self._disconnected = False
        self._heard = False
        self._lost = False
        self._told = False
        self._with_trailers = False
        # When its head was read, where the access log asks.
        self.began = 0.0
        self.body_done = False
        self.buffered = 0
        self.encoder = encoder
        self.head = head
        self.scope = self.make_scope(scope)

    def feed(self, data):
        """A part of the body has come."""
        if self._parts is None:
            self._parts = []
        self._parts.append(data)
        self.buffered += len(data)
        self.wake()

    def finish_body(self):
        """The body is complete."""
        self.body_done = True
        self.wake()

    def disconnect(self):
        """The client sends no more: `receive()` says so, once it has given what came before."""
        self._disconnected = True
        self.wake()

    def lose(self):
        """The connection is gone: `send()` says so too."""
        self._lost = True
        self.disconnect()

    def is_started(self):
        """Whether the response head was given, so that only its end is open."""
        return self._phase != WAITING

    def is_streaming(self):
        """Whether a response is under way that has to go on."""
        return WAITING < self._phase < COMPLETE

    def is_complete(self):
        """Whether the response is."""
        return self._phase == COMPLETE

    def is_lost(self):
        """Whether the client is gone for good."""
        return self._lost

    def was_told(self):
        """Whether a `send()` has said that the client is gone."""
        return self._told

    def has_heard(self):
        """Whether `receive()` or `send()` has told the application that its client has left."""
        return self._heard or self._told

    def is_refusable(self):
        """Whether another response can still take this one's place: nothing of it has been framed."""
        return self._phase == WAITING or (self._phase == STARTED and self.encoder.head_is_pending())

    def replace(self, encoder):
        """Another response takes this one's place."""
        self.encoder = encoder
        self._phase = COMPLETE
        self.wake()

    def announce(self):
        """The head is framed, so that no other response can take this one's place."""
        if not self._announced:
            self._announced = True
            self._channel.answered(self, self.encoder.status)

    def take(self):
        if self._phase == COMPLETE:
            return {"type": "http.disconnect"}
        if not self._taken:
            if self.body_done or self._parts:
                return self._take_body()
            if not self._disconnected:
                self._channel.wanted()
        if self._disconnected:
            self._heard = True
            return {"type": "http.disconnect"}
        return None

    def make_scope(self, connection_scope):
        """A scope as the application gets it."""
        head = self.head
        shared = self._shared
        scope = connection_scope.copy()
        extensions = shared.extensions.copy()
        if not head.http11:
            scope["http_version"] = "1.0"
            del extensions["http.response.trailers"], extensions["http.response.early_hint"]
        scope["asgi"] = shared.asgi.copy()
        scope["method"] = head.method
        scope["path"] = head.path
        scope["raw_path"] = head.raw_path
        if head.query:
            scope["query_string"] = head.query
        scope["headers"] = head.headers
        scope["state"] = shared.state.copy()
        scope["extensions"] = extensions
        if shared.root_path and head.path != "*":
            scope["path"] = shared.root_path + head.path
            scope["raw_path"] = shared.root_path_bytes + head.raw_path
        return scope

    def _take_body(self):
        parts = self._parts
        if not parts:
            body = b""
        elif len(parts[0]) < LARGE_PART and len(parts) > 1:
            body = b"".join(parts)
            self._parts = None
        else:
            body = parts.pop(0)
        self.buffered -= len(body)
        if self.body_done and not self._parts:
            self._taken = True
        elif not self._disconnected:
            self._channel.wanted()
        return {"type": "http.request", "body": body, "more_body": not self._taken}

    def deliver(self, message):
        kind = message["type"]
        phase = self._phase
        if self._lost:
            return self._deliver_to_nobody(kind, message)
        if kind == "http.response.body" and phase == STARTED:
            data = message.get("body", b"")
            if type(data) is not bytes:
                data = as_bytes(data)
            return self._send_body(data, bool(message.get("more_body", False)))
        if kind == "http.response.start" and phase == WAITING:
            status = message["status"]
            trailers = bool(message.get("trailers", False))
            self.encoder.start(status, message.get("headers", ()), trailers)
            self._with_trailers = trailers
            self._phase = STARTED
            self._channel.sent(0)
            return None
        return self._deliver_other(kind, message)

    def begin_file(self, size):
        """A file's `size` bytes are to follow as part of the body; false if they may not go on the wire (HEAD)."""
        start = len(self._channel.out)
        present = self.encoder.file(size, self._channel.out)
        self.announce()
        self._count_sent(start)
        self._phase = SENDING_FILE
        return present

    def end_file(self, present, more):
        """The file is sent."""
        self._phase = STARTED
        if present:
            start = len(self._channel.out)
            self.encoder.file_end(self._channel.out)
            self._count_sent(start)
        self._send_body(b"", more)

    def _count_sent(self, start):
        self._channel.sent(sum(len(piece) for piece in self._channel.out[start:]))

    def _send_body(self, data, more):
        channel = self._channel
        encoder = self.encoder
        if not more and not self.body_done and not channel.can_outlive():
            encoder.keep_alive = False
        size = encoder.body(data, more, channel.out)
        if not self._announced:
            self.announce()
        if more:
            channel.sent(size)
            return None if channel.writable else channel.drained()
        if self._with_trailers:
            self._phase = TRAILERS
            channel.sent(size)
        else:
            self._complete(size)
        return None

    def _deliver_to_nobody(self, kind, message):
        """The client is gone: follow the response to its end, so that the application does, or say so."""
        if not self._shared.ignores_lost:
            self._told = True
            raise ClientDisconnected("the client has left")
        if kind == "http.response.start":
            self._phase = STARTED
            self._with_trailers = bool(message.get("trailers", False))
        elif kind == "http.response.pathsend":
            self._phase = COMPLETE
        elif kind == "http.response.trailers":
            if not message.get("more_trailers", False):
                self._phase = COMPLETE
        elif not message.get("more_body", False) and kind in ("http.response.body", "http.response.zerocopysend"):
            self._phase = TRAILERS if self._with_trailers else COMPLETE
        return Turn()

    def _complete(self, size):
        self._phase = COMPLETE
        self._parts = None
        self.buffered = 0
        self.wake()
        self._channel.sent(size)
        self._channel.ended()

    def _deliver_other(self, kind, message):
        """The messages of the extensions, and those out of order."""
        phase = self._phase
        channel = self._channel
        if kind == "http.response.trailers" and phase == TRAILERS:
            self._trailers = (self._trailers or []) + list(message.get("headers", ()))
            if not message.get("more_trailers", False):
                self._complete(self.encoder.trailers(self._trailers, channel.out))
        elif kind == "http.response.early_hint" and phase < COMPLETE:
            channel.sent(self.encoder.early_hints(message.get("links", ()), channel.out))
        elif kind in ("http.response.pathsend", "http.response.zerocopysend") and phase == STARTED:
            if kind not in self._shared.extensions:
                raise RuntimeError(f"{kind!r} is not offered without --sendfile")
            return channel.send_file(self, message)
        else:
            raise RuntimeError(f"{kind!r} is not expected {_PHASES[phase]}")
        return None


_PHASES = (
    "before 'http.response.start'",
    "after 'http.response.start'",
    "while a file is being sent",
    "while 'http.response.trailers' is due",
    "after the response is complete",
)
