"""What carries exchanges, and when what they have to say is written."""

from .scan import monotonic

# Seconds that a finished response waits for its neighbours when they take long.
PATIENCE = 0.001


class Channel:
    """What carries exchanges: an HTTP/1.1 connection, or one day a stream of HTTP/2 (RFC 9113, RFC 8441).

    `out` takes framed bytes; `writable` is false above the transport's high-water mark.
    """

    __slots__ = ("out", "writable")

    def __init__(self):
        self.out = []
        self.writable = True

    def sent(self, size):
        """`size` bytes were added to `out`, or a head is waiting to be."""
        raise NotImplementedError

    def ended(self):
        """The response is complete."""
        raise NotImplementedError

    def wanted(self):
        """The application asks for more of the body."""
        raise NotImplementedError

    def hold(self):
        """The application has more than it takes: nothing more is to be read."""
        raise NotImplementedError

    def accept(self, session, fields):
        """Answer a WebSocket's handshake with `fields`; what comes from now on is the session's."""
        raise NotImplementedError

    def can_outlive(self):
        """Whether the connection can be used again although part of the body was not read."""
        raise NotImplementedError

    def drained(self):
        """A future that is done when the client has read enough; raises `ClientDisconnected` if it leaves."""
        raise NotImplementedError

    def release(self, error):
        """Let every `send()` that waits for the client go on, or fail with `error`."""
        raise NotImplementedError

    def send_file(self, request, message):
        """A coroutine that sends the file which a pathsend or zerocopysend message names."""
        raise NotImplementedError

    def leave_outbox(self):
        """The outbox has come to this channel: its output is to be written."""
        raise NotImplementedError

    def crash(self, error):
        """`error` was raised by this channel where others are served too: report it, and end this one alone. Raises
        nothing.
        """
        raise NotImplementedError

    def cut(self, reason):
        """The client was too slow, and is given up: say so."""
        raise NotImplementedError

    def answered(self, request, status):
        """The response starts."""
        raise NotImplementedError


class Outbox:
    """The channels of one loop that have something to write, flushed once a turn: what belongs together leaves so."""

    __slots__ = ("_call_soon", "_channels", "_run", "_scheduled", "_since")

    def __init__(self, call_soon):
        self._call_soon = call_soon
        self._channels = []
        self._run = self.run
        self._scheduled = False
        self._since = 0.0

    def add(self, channel):
        """`channel` has output, or will have in a moment."""
        if not self._scheduled:
            self._scheduled = True
            self._since = monotonic()
            self._call_soon(self._run)
        elif monotonic() - self._since > PATIENCE:
            self._flush()
        self._channels.append(channel)

    def run(self):
        """Flush every channel that has output."""
        self._scheduled = False
        self._flush()

    def _flush(self):
        channels = self._channels
        self._channels = []
        self._since = monotonic()
        for channel in channels:
            try:
                channel.leave_outbox()
            except Exception as error:
                channel.crash(error)
