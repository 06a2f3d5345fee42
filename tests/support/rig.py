"""A connection without sockets or event loop. Records its calls to the owner; tests run each iteration by hand."""

import inspect
from types import SimpleNamespace

from pronghorn._wire.shared import Limits
from pronghorn.metrics import page

CLIENT = ("127.0.0.1", 50000)
SERVER = ("127.0.0.1", 8000)
WAITING = SimpleNamespace(name="waiting")

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
OK_CLOSE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def refusal(status, phrase, text=None):
    """An error response of the server, which closes the connection."""
    body = (text or phrase).encode()
    fields = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close" % len(body)
    return b"HTTP/1.1 %d %b\r\n%b\r\n\r\n%b" % (status, phrase.encode(), fields, body)


BAD_REQUEST = refusal(400, "Bad Request", "Invalid HTTP request received.")


def post(length, *fields):
    """The head of a POST that declares `length`."""
    return b"".join([b"POST / HTTP/1.1\r\nhost: a\r\n", b"content-length: %d\r\n" % length, *fields, b"\r\n"])


class Future:
    """The part of `asyncio.Future` that the wire uses."""

    def __init__(self):
        self._done = False
        self._error = None
        self._callbacks = []

    _asyncio_future_blocking = False

    def done(self):
        return self._done

    def set_result(self, result):
        self._finish(None)

    def set_exception(self, error):
        self._finish(error)

    def add_done_callback(self, callback):
        self._callbacks.append(callback)

    def __await__(self):
        while not self._done:
            yield self
        if self._error is not None:
            raise self._error

    def _finish(self, error):
        assert not self._done
        self._done = True
        self._error = error
        for callback in self._callbacks:
            callback()


class Rig:
    """A connection, its owner and its loop. Keyword arguments go to `Limits` if it knows them, otherwise to `Shared`.

    `application(request)` is called for every request; if that gives a coroutine, it is driven, and `running` counts
    those under way.
    """

    LIMITS = tuple(inspect.signature(Limits).parameters)

    def __init__(
        self,
        wire,
        application=None,
        *,
        kind=None,
        call_soon=None,
        create_future=Future,
        client=CLIENT,
        address=SERVER,
        **options,
    ):
        self.wire = wire
        self.application = application
        self.requests = []
        self.sessions = []
        self.accepted = []
        self.denied = []
        self.closed = []
        self.prefaces = []
        self.refused = []
        self.failures = []
        self.calls = []
        self.writes = []
        self.running = 0
        self.waiting_bytes = 0
        self.unacknowledged = 0
        self.cuts = []
        self.overdue = []
        self.input = False
        self.left = False
        self._soon = []
        limits = wire.shared.Limits(**{name: options.pop(name) for name in self.LIMITS if name in options})
        options.setdefault("date", False)
        options.setdefault("server", b"")
        self.page = page.allocate()
        options.setdefault("metrics", wire.metrics.Metrics(wire.kernels.Cells(self.page)))
        options.setdefault("turns", wire.turns.Turns(call_soon or self._soon.append))
        self.shared = wire.shared.Shared(limits, create_future, **options)
        self.limits = limits
        outbox = wire.outbox.Outbox(call_soon or self._soon.append)
        kind = kind or wire.connection.Connection
        self.connection = kind(self, self, outbox, self.shared, client, address)

    def counted(self, first, count=1):
        """The sum of `count` cells of its page."""
        return sum(self.page[first : first + count])

    # Steps of a test

    @property
    def request(self):
        return self.requests[-1]

    @property
    def written(self):
        return b"".join(self.writes)

    def take(self):
        """End this iteration; return what was written since the last call."""
        self.turn()
        written = self.written
        self.writes.clear()
        return written

    def receive(self, data):
        """Receive bytes unless reading is paused. The iteration goes on."""
        self.connection.receive(data)

    def turn(self):
        """End this iteration of the loop and those it schedules."""
        while self._soon:
            soon = self._soon.copy()
            self._soon.clear()
            for callback in soon:
                callback()

    def one_turn(self):
        """End only this iteration of the loop."""
        soon = self._soon.copy()
        self._soon.clear()
        for callback in soon:
            callback()

    def tick(self, now):
        """Set the clock to `now` and run everything that follows from it."""
        self.shared.tick(now)
        self.wire.endpoint.sweep([self.connection], now)
        self.turn()

    def is_over(self):
        """Return whether the connection has closed its transport, or ended its half of the stream."""
        return "close" in self.calls or "finish_writing" in self.calls

    def is_paused(self):
        reading = [call for call in self.calls if call in ("pause", "resume")]
        return bool(reading) and reading[-1] == "pause"

    # Interface of the owner

    def on_request(self, request):
        self.requests.append(request)
        if self.application is not None:
            result = self.application(request)
            if result is not None:
                self.running += 1
                self._drive(result)

    def on_upgrade(self, request):
        self.calls.append("upgrade")

    def on_websocket(self, session):
        self.sessions.append(session)

    def on_accepted(self, session):
        self.accepted.append(session)

    def on_denied(self, session, status):
        self.denied.append((session, status))

    def on_refused(self, error):
        self.refused.append(error)

    def on_closed(self, session):
        self.closed.append(session)

    def on_preface(self, data):
        self.prefaces.append(data)

    def on_left(self, exchange):
        self.calls.append("left")

    def on_overdue(self, is_answered):
        self.overdue.append("answered" if is_answered else "cut off")

    def on_log_failed(self, error):
        self.failures.append(error)

    def on_crash(self, error):
        self.failures.append(error)
        self.connection.lose()

    def defer(self):
        self.calls.append("defer")
        self._soon.append(self.connection.process_deferred)

    def unsent(self):
        return self.waiting_bytes

    def unread(self):
        return self.waiting_bytes + self.unacknowledged

    def delivered(self, handed):
        return handed - self.unread()

    def on_slow_client(self, reason):
        self.cuts.append(reason)

    def has_input(self):
        return self.input

    def has_left(self):
        return self.left

    def send_file(self, request, message):
        self.calls.append("send_file")
        future = Future()
        future.set_result(None)
        return future

    def pause(self):
        self.calls.append("pause")

    def resume(self):
        self.calls.append("resume")

    def leave_inbox(self, failed):
        self.calls.append("leave_inbox")

    def finish_writing(self):
        self.calls.append("finish_writing")

    def close(self):
        self.calls.append("close")

    def abort(self):
        self.calls.append("abort")

    # Interface of the transport

    def is_closing(self):
        return False

    def write(self, data):
        self.writes.append(data)

    def writelines(self, pieces):
        self.writes.append(b"".join(pieces))

    # Private

    def _drive(self, coroutine):
        """Run an application until it waits; resume it in the next iteration."""
        try:
            future = coroutine.send(None)
        except StopIteration:
            self.running -= 1
            return
        future.add_done_callback(lambda: self._soon.append(lambda: self._drive(coroutine)))


def drive(step):
    """Result of a `receive()` or `send()` that completes immediately, or WAITING."""
    try:
        step.send(None)
    except StopIteration as end:
        return end.value
    return WAITING


def start(request, *headers, status=200, **more):
    drive(request.send({"type": "http.response.start", "status": status, "headers": list(headers), **more}))


def body(request, data=b"", more=False):
    return drive(request.send({"type": "http.response.body", "body": data, "more_body": more}))


def ok(request):
    """Answer with OK."""
    start(request, (b"content-length", b"2"))
    body(request, b"ok")


async def read_body(request):
    """The whole body as an application reads it; None if the client leaves before its end."""
    content = b""
    while (message := await request.receive())["type"] == "http.request":
        content += message["body"]
        if not message["more_body"]:
            return content
    return None


async def echo(request):
    """Answer with the request's body once it is complete."""
    content = await read_body(request)
    if content is None:
        return
    await request.send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]}
    )
    await request.send({"type": "http.response.body", "body": content})
