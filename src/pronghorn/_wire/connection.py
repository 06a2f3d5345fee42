"""An HTTP/1.1 connection: what was read in, exchanges and bytes to write out (RFC 9112 section 9).

One that was upgraded carries a WebSocket's frames from then on, and looks after nothing but its transport.

The connection knows no socket and no loop. Its transport has `write`, `writelines` and `is_closing`; its owner has
these methods, and gets everything through them: `on_request(request)`, `on_upgrade(request)` (before that, for an
upgrade that is not taken), `on_websocket(session)` (in place of both), `on_accepted(session)` or `on_denied(session,
status)` (what the application made of it), `on_refused(error)`, `pause()` and `resume()` reading, `defer()` (call
`proceed` in the next turn), `finish_writing()` (the stream's end, after what was written), `close()` (after what was
written), `abort()`, `unsent()` (bytes that wait in the transport), `unread()` (those, and what the client's system has
not acknowledged), `delivered(handed)` (a number that grows as the client's system acknowledges some of the `handed`
bytes), `on_cut(reason)` (before an `abort()` for a client that was too slow), `has_left()` (whether the client is known
to be gone), `on_stalled(request)` (the client has ended its stream and the response does not go on),
`send_file(request, message)`, `on_log_failed(error)` (a line of the access log was lost) and `on_crash(error)`
(anything else was raised where others are served too), both of which raise nothing.
"""

from pronghorn.errors import ClientDisconnected, ProtocolError

from .body import Decoder
from .handshake import UPGRADE_REQUIRED, is_asked_for, switch
from .handshake import read as read_handshake
from .head import parse, preamble
from .output import Output
from .request import Request
from .response import Encoder
from .rules import CLOSED, CLOSING, CONTINUE, LINGERING, NO_BODY, OPEN, PHRASES
from .scan import cut, find_bare_cr, find_head_end, method_end, monotonic, visible_end
from .websocket import WebSocket

# What is being read.
HEAD = 0  # a request's head, or nothing yet
BODY = 1  # the body of the request at hand
BEHIND = 2  # nothing: the request is read, its response is due; what follows is kept
NOTHING = 3  # the connection is to be closed: what comes is dropped
FRAMES = 4  # a WebSocket's frames


class Connection(Output):
    """One connection's state. `deadline` is a second of `Shared.now`, 0 for none; `check` looks at it."""

    __slots__ = (
        "_advancing",
        "_buffer",
        "_continue_due",
        "_decoder",
        "_deferred",
        "_discarded",
        "_forgiven",
        "_fresh",
        "_input_ended",
        "_linger_by",
        "_lingers",
        "_paused",
        "_position",
        "_proxies",
        "_reading",
        "_resume_at",
        "_scope",
        "_session",
        "client_text",
        "deadline",
        "peer_text",
    )

    def __init__(self, owner, transport, outbox, shared, client, server, fd=-1, joins=False):
        Output.__init__(self, owner, transport, outbox, shared, fd, joins)
        self.deadline = 0
        # The client differs from the peer where that is a trusted proxy.
        self.client_text = self.peer_text = "%s:%d" % client if client else ""
        self._scope = shared.connection_scope(client, server)
        proxies = shared.proxies
        self._proxies = proxies if proxies is not None and proxies.trusts_peer(client, server) else None
        self._buffer = b""
        self._position = 0
        self._resume_at = 0
        self._reading = HEAD
        self._decoder = None
        self._session = None
        self._discarded = 0
        self._advancing = False
        self._continue_due = False
        self._deferred = False
        self._forgiven = False
        self._fresh = True
        self._input_ended = False
        self._linger_by = 0
        self._lingers = False
        self._paused = False
        self._set_deadline(shared.limits.first_byte)

    # Input

    def receive(self, data):
        """Bytes have come."""
        if self._reading == FRAMES:
            self._session.feed(data)
            return
        if self._reading == NOTHING:
            if self._life == LINGERING:
                self._linger_on(len(data))
            return
        if self._position < len(self._buffer):
            data = self._buffer[self._position :] + data
        self._buffer = data
        self._resume_at -= self._position
        self._position = 0
        if self._reading == BODY:
            self._set_deadline(self._shared.limits.body)
        if not self._advancing:
            self._advance()
        if self._reading != BODY and len(self._buffer) - self._position > self._shared.limits.body_buffer:
            self._pause()

    def end_input(self):
        """The client has ended its stream. The connection goes on for the answers that are due.

        A client that closes and one that only half-closes look alike: `receive()` says that it left, `send()` works
        until it is known to be gone.
        """
        self._input_ended = True
        request = self.request
        if self._life != OPEN:
            self._stop_lingering()
            return
        if self._session is not None:
            self._session.end_input()
            self._close()
            return
        if self.has_begun() and (self._deferred or not self.writable):
            return
        if request is None or request.is_complete():
            self._close()
            return
        if self._reading == BODY:
            self._reading = NOTHING
            self._decoder = None
            self.deadline = 0
        request.disconnect()

    def lose(self):
        """The connection is gone."""
        self._reading = NOTHING
        self._life = CLOSED
        self._buffer = b""
        self.deadline = 0
        self.write_deadline = 0
        self.out = []
        request = self.request
        if request is not None:
            if self._shared.logs_at_end and request.is_streaming() and not request.is_refusable():
                self._log(request, request.encoder.status)
            request.lose()
            self.request = None
        if self._session is not None:
            self._session.end_input()
        self.release(None if self._shared.ignores_lost else ClientDisconnected("the client has left"))
        self._owner = None
        self._transport = None

    def proceed(self):
        """Go on with what was read before: the next turn has come."""
        self._deferred = False
        if not self._advancing and self._life == OPEN:
            self._advance()
            self._resume_if_room()

    def went_writable(self):
        if self._session is not None:
            self._session.went_writable()
        elif self._reading == HEAD and not self._advancing:
            self._wait_for_request()
            self._advance()
            self._resume_if_room()

    # What an exchange needs

    def wanted(self):
        # Not behind a final status: the client may have left the body out by then (RFC 9110 section 10.1.1).
        if self._continue_due and not self.request.is_started():
            self._continue_due = False
            self._set_deadline(self._shared.limits.body)
            self.out.append(CONTINUE)
            self.sent(len(CONTINUE))
        self._resume_if_room()

    def hold(self):
        self._pause()

    def accept(self, session, fields):
        answer = switch(self._shared, session.handshake.key, fields)
        self.out.append(answer)
        self.sent(len(answer))
        self.request = None
        self._scope = None
        self._reading = FRAMES
        self._owner.on_accepted(session)
        early = self._buffer[self._position :]
        self._forget_read()
        if early:
            session.feed(early)
        self._resume_if_room()

    def can_outlive(self):
        if self._decoder is None or self._continue_due:
            return False
        return self._decoder.remaining <= self._shared.limits.discard

    def send_file(self, request, message):
        return self._owner.send_file(request, message)

    def answered(self, request, status):
        if self._session is not None:
            self._owner.on_denied(self._session, status)
        elif self._shared.access_log is not None and not self._shared.logs_at_end:
            self._log(request, status)

    def ended(self):
        """The one place that decides whether the connection is used again."""
        request = self.request
        if self._shared.logs_at_end and self._session is None:
            self._log(request, request.encoder.status)
        # A stop of the server does not end it here: a client whose answer has not announced the end may be sending.
        if self._session is not None or not request.encoder.keep_alive or self._reading == NOTHING:
            self._close()
        elif self._reading == BEHIND:
            self._next()
        else:
            self._discarded = 0
            self._resume_if_room()

    # Life

    def check(self, now):
        """Act on deadlines that have passed; to be called once a second."""
        if self.deadline and now >= self.deadline:
            self.deadline = 0
            self._expire()
        self.check_unread(now)
        if self._session is not None:
            self._session.check(now)
        # Bytes that nobody reads hide the end of the stream.
        left = self._input_ended or (self._paused and self._owner.has_left())
        if left and self._reading == BEHIND:
            self.request.disconnect()
            if self._session is not None:
                self._session.end_input()
        if left and self.is_stalled():
            if self._quiet:
                self.request.lose()
                self._owner.on_stalled(self.request)
            self._quiet = True

    def fail(self, status):
        """The application has not answered: do it in its stead, or break off a response that has begun."""
        request = self.request
        if request is None or self._owner is None:
            return
        if request.is_refusable():
            self.answered(request, status)
            self._answer(status)
            if self._shared.logs_at_end and self._session is None:
                self._log(request, status)
        else:
            self._break_off()

    def abandon(self):
        """The application has ended without a response because its client has left: nobody waits for one."""
        request = self.request
        if request is None or self._life != OPEN:
            return
        if request.is_refusable():
            request.replace(Encoder(self._shared, request.head.method, True, False))
            self._close()
        else:
            self._break_off()

    def drain(self):
        """The server is stopping: an idle connection closes, any other once what is under way has its response."""
        if self._session is not None:
            self._session.restart()
        elif self.request is not None:
            if self.request.is_streaming():
                self.request.disconnect()
        elif self._life == OPEN and not self.has_begun():
            self._close()

    def exchange(self):
        """The request or WebSocket at hand, or None."""
        return self.request if self._session is None else self._session

    def is_idle(self):
        """Whether no request is under way; the head of one may have begun to arrive."""
        return self.request is None and self._session is None

    def has_begun(self):
        """Whether some of the next request has arrived: part of its head, or all of it, waiting for the next turn."""
        return self._reading == HEAD and self._position < len(self._buffer)

    # Private

    def _advance(self):
        """Read on as far as the bytes at hand and the responses due allow."""
        self._advancing = True
        served = 0
        try:
            while self._position < len(self._buffer):
                if self._reading == HEAD:
                    if not self.writable:
                        break  # answers that nobody reads
                    if served == self._shared.limits.pipelined:
                        self._defer()
                        break
                    if not self._read_head():
                        break
                    served += 1
                elif self._reading == BODY:
                    if not self._read_body():
                        break
                else:
                    break
        except ProtocolError as error:
            self._refuse(error)
        self._advancing = False
        if self._position >= len(self._buffer) or self._reading == NOTHING:
            self._forget_read()
        if self._input_ended and self._reading == HEAD and not self._deferred and self.writable:
            self._close()

    def _forget_read(self):
        self._buffer = b""
        self._position = 0
        self._resume_at = 0

    def _read_head(self):
        buffer = self._buffer
        limits = self._shared.limits
        start = self._position
        if buffer[start] == 13:
            # One empty line before a request is forgiven (RFC 9112 section 2.2).
            if self._forgiven:
                raise ProtocolError(400, "malformed method")
            if start + 2 > len(buffer):
                self._wait_for_request()
                return False
            if buffer[start + 1] != 10:
                raise ProtocolError(400, "bare CR before the request")
            self._forgiven = True
            self._position = start = start + 2
            self._resume_at = start
            if start == len(buffer):
                self._wait_for_request()
                return False
            if buffer[start] == 13:
                raise ProtocolError(400, "malformed method")
        end = find_head_end(buffer, start, max(start, self._resume_at))
        if end < 0 or end - start > limits.head_size:
            self._wait_for_head(end, start)
            return False
        self._forgiven = False
        head = self._parse(buffer, start, end)
        self._position = end
        self._resume_at = end
        self._open(head)
        return True

    def _parse(self, buffer, start, end):
        """The one step that another head parser takes over."""
        return parse(buffer, start, end, self._shared.limits)

    def _wait_for_request(self):
        """Nothing has come of the next request."""
        if not self.deadline and self.writable:
            self._set_deadline(self._shared.limits.keep_alive)

    def _wait_for_head(self, end, start):
        """A head that is not whole: refuse what it cannot become, wait for the rest."""
        buffer = self._buffer
        limits = self._shared.limits
        error = preamble(buffer, start) if self._fresh else None
        if error is not None:
            raise error
        if end == -2:
            raise ProtocolError(400, "bare LF in a head")
        space = method_end(buffer, start, len(buffer))
        if space < len(buffer) and (space == start or buffer[space] != 32):
            raise ProtocolError(400, "malformed method")
        if visible_end(buffer, space + 1, len(buffer)) - space > limits.target_size + 1:
            raise ProtocolError(414, "request target too long")
        if len(buffer) - start > limits.head_size:
            raise ProtocolError(431, "head too long")
        bare = find_bare_cr(buffer, max(start, self._resume_at - 1), len(buffer))
        if bare >= 0:
            # No line can hold it: the head is refused for the reason that it would be if it ended here.
            self._parse(cut(buffer, start, bare + 2) + b"\r\n\r\n", 0, bare + 6 - start)
            raise ProtocolError(400, "bare CR in a head")
        if self._resume_at <= start:
            self._set_deadline(limits.head)
        self._resume_at = len(buffer)

    def _open(self, head):
        """Start an exchange with `head`."""
        shared = self._shared
        shared.total_requests += 1
        self.deadline = 0
        self._fresh = False
        scope = self._scope if self._proxies is None else self._behind_proxy(head)
        if head.upgrade is not None and shared.websockets and is_asked_for(head):
            self._open_websocket(head, scope)
            return
        encoder = Encoder(shared, head.method, head.http11, head.keep_alive and shared.limits.keep_alive > 0)
        request = Request(head, encoder, self, shared, scope)
        self.request = request
        if shared.logs_at_end:
            request.began = monotonic()
        if head.framing == NO_BODY:
            request.body_done = True
            self._reading = BEHIND
        else:
            self._reading = BODY  # also of one that is refused for its length
            self._decoder = Decoder(head.framing, head.length, shared.limits)
            self._continue_due = head.expects_continue
            if self._position < len(self._buffer) or self._decoder.done:
                self._read_body()
            if self._reading == BODY and not self._continue_due:
                self._set_deadline(shared.limits.body)
        if self._input_ended:
            request.disconnect()
        if head.upgrade is not None:
            self._owner.on_upgrade(request)
        self._owner.on_request(request)

    def _behind_proxy(self, head):
        """The connection's scope for `head`, which a trusted proxy has sent."""
        self.client_text = self.peer_text
        scope = self._scope
        origin = self._proxies.origin(head.headers)
        if origin is not None:
            scope = origin.scope(head, scope)
            if origin.client is not None:
                self.client_text = "%s:%d" % origin.client
        return scope

    def _open_websocket(self, head, scope):
        """Start a session with the handshake in `head`. A denial ends the connection: frames may be on their way."""
        shared = self._shared
        handshake = read_handshake(head, shared.zlib)
        self.request = request = Request(head, Encoder(shared, head.method, True, False), self, shared, scope)
        request.body_done = True
        self._reading = BEHIND
        self._session = WebSocket(handshake, request, self, shared)
        self._owner.on_websocket(self._session)

    def _read_body(self):
        """Decode what is here; true when the body is complete."""
        decoder = self._decoder
        content = decoder.feed(self._buffer, self._position)
        self._position = decoder.position
        self._continue_due = False
        request = self.request
        if request.is_complete():
            self._discarded += len(content)
            if self._discarded > self._shared.limits.discard:
                self._close()
                return False
        elif content:
            # An application that waits for this takes it before more can come: to pause now would only close the
            # client's window.
            awaited = request.is_waiting()
            request.feed(content)
            if not awaited and request.buffered > self._shared.limits.body_buffer and not decoder.done:
                self._pause()
        if not decoder.done:
            return False
        self._decoder = None
        self._reading = BEHIND
        self.deadline = 0
        request.finish_body()
        if request.is_complete():
            self._next()
        return True

    def _next(self):
        """Request and response are complete: the next may come."""
        self.request = None
        self._reading = HEAD
        if self._position < len(self._buffer):
            if not self._advancing:
                self._defer()
        elif self._input_ended:
            self._close()
        else:
            self._wait_for_request()
            self._resume_if_room()

    def _log(self, request, status):
        log = self._shared.access_log
        try:
            try:
                log.add(self.client_text, request.scope, status, request)
            except (AttributeError, LookupError, TypeError, ValueError):
                # The application has spoilt its scope; what it was given still tells what was asked.
                log.add(self.client_text, request.make_scope(self._scope), status, request)
        except Exception as error:  # a filter of the user's, which has nothing to do with the response
            self._owner.on_log_failed(error)

    def _refuse(self, error):
        """Answer a request that cannot be understood; nothing behind it can be either."""
        if self._fresh:
            error = preamble(self._buffer, self._position) or error
        self._owner.on_refused(error)
        request = self.request
        if request is not None:
            refusable = request.is_refusable()
            request.lose()
            if not refusable:
                self._break_off()
                return
        self._answer(error.status)

    def _break_off(self):
        """Leave a response without its end; where only the stream's end would mark that, by a reset."""
        encoder = self.request.encoder
        self.flush()
        if self._life == CLOSED:
            return
        if encoder.ends_with_connection():
            self._owner.abort()
        else:
            self._close()

    def _answer(self, status):
        """Answer in the application's stead, and close."""
        if status == 400:
            text = b"Invalid HTTP request received."
        else:
            text = PHRASES[status].encode("ascii")
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        if status == 426:
            fields += UPGRADE_REQUIRED
        request = self.request
        method = "GET" if request is None else request.head.method
        encoder = Encoder(self._shared, method, True, False)
        encoder.start(status, fields, False)
        if request is not None:
            request.replace(encoder)
        self.sent(encoder.body(text, False, self.out))
        self._close()

    def _close(self):
        """Close once everything gathered is written, and read no more."""
        if self._life != OPEN:
            return
        self._lingers = not self._input_ended and (
            self._reading == BODY
            or self._position < len(self._buffer)
            or (self._reading == FRAMES and not self._session.client_closed)
        )
        self._life = CLOSING
        self._reading = NOTHING
        self._decoder = None
        self.deadline = 0
        self._resume_if_room()
        self.sent(0)

    def finish(self):
        """Everything is handed to the transport: end the stream.

        A client that is still sending would have its answer destroyed by a reset, so it gets a moment to stop
        (RFC 9112 section 9.6).
        """
        if self._lingers:
            self._life = LINGERING
            self.watch_unread()
            self._discarded = 0
            limits = self._shared.limits
            # Unlike an upload, a WebSocket has no long message that the client must finish first.
            self._linger_by = self._shared.deadline(limits.linger_longest if self._session is None else limits.linger)
            self._set_deadline(limits.linger)
            self._owner.finish_writing()
        else:
            self._shut()

    def _linger_on(self, size):
        """A refused client goes on sending: the answer may not have reached it yet."""
        limits = self._shared.limits
        self._discarded += size
        if self._discarded > limits.linger_size:
            self._stop_lingering()
        else:
            self._set_deadline(limits.linger)
            if self.deadline > self._linger_by:
                self.deadline = self._linger_by

    def _stop_lingering(self):
        """Nothing more can come."""
        self._lingers = False
        if self._life == LINGERING:
            self._shut()

    def _shut(self):
        """Have the transport close. It may call back before it returns."""
        self._life = CLOSED
        self.deadline = 0
        self.watch_unread()
        self._owner.close()

    def _expire(self):
        """The client was too slow."""
        if self._life == LINGERING:
            self._stop_lingering()
        elif self._reading == HEAD and self._resume_at <= self._position:
            self._shut()
        else:
            what = "body" if self._reading == BODY else "head"
            self._refuse(ProtocolError(408, "timed out waiting for the " + what))

    def _defer(self):
        if not self._deferred:
            self._deferred = True
            self._owner.defer()

    def _pause(self):
        if not self._paused and not self._input_ended:
            self._paused = True
            self._owner.pause()
            if self._reading == BODY:
                self.deadline = 0

    def _resume_if_room(self):
        """Read on when what is kept is within its bound."""
        if not self._paused or self._owner is None:
            return
        limit = self._shared.limits.body_buffer
        if self._reading == FRAMES:
            if self._session.held:
                return
        elif self._reading == BODY:
            if self.request.buffered > limit:
                return
            self._set_deadline(self._shared.limits.body)
        elif self._reading != NOTHING and len(self._buffer) - self._position > limit:
            return
        self._paused = False
        self._owner.resume()

    def _set_deadline(self, seconds):
        self.deadline = self._shared.deadline(seconds)


def sweep(connections, now):
    """Let each of `connections` look at its deadlines."""
    for connection in connections:
        try:
            connection.check(now)
        except Exception as error:
            connection.crash(error)
