"""What runs in a worker: a server that tells its parent how it is, and ends when the parent does."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType

from pronghorn import log, outlet
from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.handlers import own
from pronghorn.process import BEAT, FOREVER, PULSE, SPENT, STARTED, longest_stop
from pronghorn.server import Server
from pronghorn.signals import EXITS, ignore

# Seconds for what the application has left when the server has ended: functions of atexit, threads, child processes.
_REST = 5

_log = logging.getLogger("pronghorn.error")


def main(config: Config, sockets: list[socket.socket], parent: Connection, stdin: int | None) -> None:
    """Serve on `sockets` until SIGTERM, SIGINT or the end of the stream from `parent`."""
    _on_exit_signals(_leave)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if stdin is not None:
        with contextlib.suppress(OSError):
            sys.stdin = open(stdin, closefd=False)  # noqa: SIM115 - for as long as the process lives
    for sock in sockets:  # what the application launches must not hold the port
        sock.set_inheritable(False)
    if os.name == "posix":
        os.set_inheritable(parent.fileno(), False)
    threading.Thread(target=_attend, args=(parent, longest_stop(config)), daemon=True).start()
    config.configure_logging()
    try:
        config.load_app()  # before there is a loop, so that a module may use asyncio.run where it is imported
        server = _Server(config, parent)
        # An exception of a signal's would leave a loop that is about to run in a state that cannot be closed.
        _on_exit_signals(own(server.handle_exit))
        server.run(sockets)
    except StartupError as error:
        log.report(error)
        sys.exit(error.code)
    finally:
        threading.Thread(target=_end, daemon=True).start()
    if not server.started:
        sys.exit(StartupError.code)


class _Server(Server):
    def __init__(self, config: Config, parent: Connection) -> None:
        super().__init__(config)
        self._parent = parent
        if config.reload:  # somebody waits for the next one
            self.linger = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell(STARTED)

    def on_limit(self) -> None:
        # The parent stops this process as soon as another serves in its place.
        self._tell(SPENT)

    def _tell(self, what: bytes) -> None:
        with contextlib.suppress(OSError):
            self._parent.send_bytes(what)


def _attend(parent: Connection, patience: float) -> None:
    """Tell the parent that this process lives, however busy its loop is. End it when the parent has ended."""
    with contextlib.suppress(EOFError, OSError):
        while not parent.poll(PULSE) or parent.recv_bytes():
            parent.send_bytes(BEAT)
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    if patience != FOREVER:
        time.sleep(patience)
        outlet.flush()
        os._exit(1)


def _end() -> None:
    """End this process, whose interpreter would wait for ever for threads and child processes that do not end."""
    time.sleep(_REST)
    _log.warning("Ending without threads or child processes of the application, which do not end.")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    outlet.flush()
    os._exit(1)


def _on_exit_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for name in EXITS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


@own
def _leave(number: int, frame: FrameType | None) -> None:
    # A second signal would fail the end that the first one began; the parent kills what takes too long.
    # Not SIG_IGN: CPython complains of a signal that has come already.
    _on_exit_signals(ignore)
    # Rather than die of the signal: what the application has registered with atexit is run.
    sys.exit(128 + number)
