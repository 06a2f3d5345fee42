"""The program of a worker process: a server that reports to its parent, and stops when the parent ends."""

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

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.errors import StartupError
from pronghorn.listen import balance
from pronghorn.logging import log, outlet, streams
from pronghorn.metrics import layout
from pronghorn.metrics.page import Page
from pronghorn.process import cleanup, operator_signals
from pronghorn.shared_memory import Memory
from pronghorn.signal_handlers import reset_after_fork
from pronghorn.supervisor.signals import EXIT_SIGNALS, HANDLED_LATER, ignore
from pronghorn.supervisor.worker_messages import HEARTBEAT, Alive, Target, encode, max_stop_time
from pronghorn.supervisor.worker_server import WorkerServer

_log = logging.getLogger("pronghorn.error")


def main(
    config: Config,
    sockets: list[socket.socket],
    parent: Connection,
    stdin: int | None,
    target: Target | None = None,
    own_page: Page | None = None,
    table: Memory | None = None,
) -> None:
    """Serve on `sockets` until SIGTERM, SIGINT or the end of the stream from `parent`, which may read `own_page`.
    `table` is shared with the workers that accept on the same sockets.
    """
    _set_exit_handlers(_exit_on_signal)
    operator_signals.count()  # to the end: the parent passes SIGUSR1 on to a worker that is stopping, too
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED_LATER)
    streams.remember_files()
    if stdin is not None:
        with contextlib.suppress(OSError):
            sys.stdin = open(stdin, closefd=False)  # noqa: SIM115 - for as long as the process lives
    for sock in sockets:  # child processes of the application must not hold the port
        sock.set_inheritable(False)
    if os.name == "posix":
        os.set_inheritable(parent.fileno(), False)
    threading.Thread(target=_send_heartbeats, args=(parent, max_stop_time(config), own_page), daemon=True).start()
    config.configure_logging()
    if target is not None:
        target(sockets=sockets)
        return
    try:
        config.load_app()  # before the event loop: an imported module may call asyncio.run
        server = WorkerServer(config, parent)
        if own_page is not None:
            server.server_state.page = own_page
        if table is not None:
            server.server_state.share = balance.Share(balance.Table(table), server.server_state.connections)
        # From here on no signal may raise: an exception would leave a starting event loop unable to close.
        _set_exit_handlers(reset_after_fork(server.handle_exit))
        server.run(sockets)
    except StartupError as error:
        log.report(error)
        sys.exit(error.code)
    finally:
        _set_exit_handlers(ignore)  # the exit has begun
        cleanup.limit()
    if not server.started:
        sys.exit(StartupError.code)


def _send_heartbeats(parent: Connection, max_stop: float, own_page: Page | None) -> None:
    """Send heartbeats, in a thread of its own as the event loop may be busy. Stop this process when the parent ends."""
    with contextlib.suppress(EOFError, OSError):
        while not parent.poll(HEARTBEAT) or parent.recv_bytes():
            parent.send_bytes(encode(Alive()))
    if own_page is not None:
        own_page[layout.STOPPED] = 1
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    if max_stop != FOREVER:
        time.sleep(max_stop)
        outlet.flush()
        os._exit(1)


def _set_exit_handlers(handler: Callable[[int, FrameType | None], None]) -> None:
    for name in EXIT_SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


@reset_after_fork
def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    # A second signal must not interrupt the exit that the first one began; the parent kills a worker that takes too
    # long. Not SIG_IGN: CPython complains about a signal that is already pending.
    _set_exit_handlers(ignore)
    # An exit, rather than death by the signal, runs the application's atexit functions.
    sys.exit(128 + number)
