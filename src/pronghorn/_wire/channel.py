"""The interface between an exchange and the connection, or the stream of one, that carries it."""

from .outbox import Flushable


class Channel(Flushable):
    """Carries exchanges: an HTTP/1.1 connection, or a stream of a protocol that multiplexes (RFC 9113, RFC 8441).

    `out` takes framed bytes, each time followed by `queued`.
    """

    __slots__ = ("_shared", "_write_waiters", "out")

    def __init__(self, shared, out):
        self.out = out
        self._shared = shared
        # Futures of `send()` calls that wait for the client to read.
        self._write_waiters = None

    # Output

    def queued(self, size):
        """`size` bytes were added to `out`; 0 where a response head waits to be framed."""
        raise NotImplementedError

    def is_writable(self):
        """Whether more output is welcome; if not, `wait_writable`."""
        raise NotImplementedError

    def wait_writable(self):
        """A future that is done when more output is welcome; raises `ClientDisconnected` if the client leaves."""
        future = self._shared.create_future()
        if self._write_waiters is None:
            self._write_waiters = []
        self._write_waiters.append(future)
        return future

    def has_write_waiters(self):
        """Whether a `send()` waits for the client to read."""
        return self._write_waiters is not None

    def wake_writers(self, error):
        """Let every `send()` that waits for the client go on, or fail with `error`."""
        waiters = self._write_waiters
        if waiters is not None:
            self._write_waiters = None
            for future in waiters:
                if not future.done():
                    if error is None:
                        future.set_result(None)
                    else:
                        future.set_exception(error)

    def send_file(self, request, message):
        """A coroutine that sends the file which a pathsend or zerocopysend message names."""
        raise NotImplementedError

    # Input

    def need_body(self):
        """The application asks for more of the body."""
        raise NotImplementedError

    def pause_reading(self):
        """Read no more until the application has taken what it has."""
        raise NotImplementedError

    def skip_body(self, request):
        """The response is about to end although part of the request's body was not read."""
        raise NotImplementedError

    # The course of an exchange

    def response_started(self, request, status):
        """The response's head is framed: no other response can take its place."""
        raise NotImplementedError

    def exchange_ended(self):
        """Everything that belongs to the exchange is framed."""
        raise NotImplementedError

    def accept(self, session, fields):
        """Accept a WebSocket's handshake with `fields`; the session gets what comes from now on."""
        raise NotImplementedError

    def fail(self, request, status):
        """Answer `request` with `status` in the application's place, or break off a response that has begun."""
        raise NotImplementedError

    def abandon(self, request):
        """End `request` without a response, or without the rest of one: its client has left."""
        raise NotImplementedError

    def give_up(self, reason):
        """Report that the client was too slow, before it is cut off."""
        raise NotImplementedError
