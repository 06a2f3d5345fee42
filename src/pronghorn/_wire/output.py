"""The writing half of a connection: gathers what was framed, writes once a turn, waits for a client that is slow."""

from .channel import Channel
from .rules import CLOSED, CLOSING, OPEN
from .scan import send_now

# Output that is gathered before it is written in the middle of a turn: asyncio's own high-water mark.
FULL = 65536
# What one response may write in a turn of the loop before its neighbours, and the news that its client has left, have
# theirs.
SHARE = 1048576
# Above this, pieces are handed over as they are: copying them together costs more than a system call's vector.
SMALL = 32768


class Output(Channel):
    """Output on its way to a transport. `write_deadline` is a second of `Shared.now`, 0 for none.

    The owner, the transport's side of it (see `connection`), is None once the connection is lost. `fd` is the
    transport's socket, open until then, or -1 where only the transport may write to it; `joins` says that several
    pieces are to be joined, for a transport whose `writelines` does not tell when it is full.
    """

    __slots__ = (
        "_backlog",
        "_behind_outbox",
        "_delivered",
        "_drains",
        "_fd",
        "_full",
        "_greedy",
        "_handed",
        "_joins",
        "_life",
        "_outbox",
        "_owner",
        "_quiet",
        "_shared",
        "_transport",
        "_turn_size",
        "_unflushed",
        "request",
        "write_deadline",
    )

    def __init__(self, owner, transport, outbox, shared, fd, joins):
        Channel.__init__(self)
        self.request = None
        self.write_deadline = 0
        self._owner = owner
        self._transport = transport
        self._joins = joins
        self._life = OPEN
        self._outbox = outbox
        self._shared = shared
        self._fd = fd
        self._delivered = 0
        self._drains = None
        self._turn_size = 0
        self._unflushed = 0
        self._handed = 0
        self._backlog = False
        self._behind_outbox = False
        self._full = False
        self._greedy = False
        self._quiet = False

    def sent(self, size):
        self._unflushed += size
        self._quiet = False
        if not self._behind_outbox:
            self._behind_outbox = True
            self._outbox.add(self)
        if self._unflushed > FULL:
            self._turn_size += self._unflushed
            self.flush()
            if self._turn_size > SHARE:
                self._greedy = True
                self.writable = False

    def leave_outbox(self):
        self._behind_outbox = False
        self._turn_size = 0
        self.flush()
        if self._greedy:
            self._greedy = False
            self._write_on()

    def cut(self, reason):
        if self._owner is not None:
            self._owner.on_cut(reason)

    def crash(self, error):
        if self._owner is not None:
            self._owner.on_crash(error)

    def flush(self):
        """Write what was gathered; a head that waits for its body does not wait longer."""
        if self._life > CLOSING:
            self.out = []
            self._unflushed = 0
            return
        request = self.request
        if request is not None and request.encoder.head_is_pending():
            self._unflushed += request.encoder.head(self.out)
            request.announce()
        if self.out:
            out = self.out
            self.out = []
            size = self._unflushed
            self._unflushed = 0
            if len(out) == 1:
                self.put(out[0])
            elif size <= SMALL or self._joins:
                self.put(b"".join(out))
            elif not self._transport.is_closing():
                self._backlog = True
                self._handed += size
                self._transport.writelines(out)
        if self._life == CLOSING:
            self.finish()

    def put(self, data):
        """Write `data`: to the socket itself, which costs half, unless the transport has something to write before."""
        self._handed += len(data)
        if self._fd >= 0 and not (self._backlog and self._owner.unsent()):
            sent = send_now(self._fd, data)
            self._backlog = sent < len(data)
            if not self._backlog:
                return
            if sent > 0:
                data = data[sent:]
        # One that has lost its client, and has not said so yet, would log each further write.
        if not self._transport.is_closing():
            self._transport.write(data)

    def finish(self):
        """Everything is handed to the transport and nothing is to follow."""
        raise NotImplementedError

    def pause_writing(self):
        """The transport holds more than its high-water mark."""
        self._full = True
        self.writable = False
        if self._owner is not None:
            self.watch_unread()

    def resume_writing(self):
        """The transport has room again."""
        self._full = False
        if self._life == OPEN:
            self.write_deadline = 0
        self._write_on()

    def went_writable(self):
        """Responses that are read again may follow."""
        raise NotImplementedError

    def drained(self):
        future = self._shared.create_future()
        if self._drains is None:
            self._drains = []
        self._drains.append(future)
        return future

    def is_stalled(self):
        """Whether a response is under way and its application is neither in `receive()` nor in `send()`."""
        return (
            self.request is not None
            and self.request.is_streaming()
            and not self.request.is_waiting()
            and not self._drains
        )

    def release(self, error):
        drains = self._drains
        if drains:
            self._drains = None
            for future in drains:
                if not future.done():
                    if error is None:
                        future.set_result(None)
                    else:
                        future.set_exception(error)

    def _write_on(self):
        if not self._full and not self._greedy:
            self.writable = True
            self.release(None)
            self.went_writable()

    def watch_unread(self):
        """The client has to read on: something, within each `Limits.write`."""
        self._delivered = self._owner.delivered(self._handed)
        self.write_deadline = self._shared.deadline(self._shared.limits.write)

    def check_unread(self, now):
        """Give up on a client that has not read anything in time."""
        if not self.write_deadline or now < self.write_deadline:
            return
        unread = self._owner.unread()
        if self._owner.delivered(self._handed) > self._delivered or (self._life != CLOSED and not unread):
            self.watch_unread()
            return
        self.write_deadline = 0
        if unread:
            self.cut("it has read nothing for %d s" % self._shared.limits.write)
        self._owner.abort()
