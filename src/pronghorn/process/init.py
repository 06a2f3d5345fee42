"""Process 1 of a container: it starts the server and waits for every process, also those that others have left behind.

An orphan becomes a child of process 1. There, nothing tells it from a child that the application itself has started,
and whoever waits for one of those takes its exit code away from the application. So process 1 and the server are two
processes: the first waits for everything, and the application never runs in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

# The siginfo_t.si_code of a signal from the kernel, as CTRL+C: the terminal sends it to the server too.
_SI_KERNEL = 0x80

# The kernel sends these to a process that has done something invalid. Blocked, they would end it all the same.
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")

is_separate = False
"""True in the child process of a process 1 that ends with it."""


def separate() -> None:
    """In process 1 of a container, return in a child process, which is to serve. Elsewhere, do nothing.

    Process 1 passes signals on to the child, and ends with its exit code, or with 0 after SIGTERM. To be called before
    there are threads.
    """
    global is_separate
    if sys.platform == "linux" and os.getpid() == 1:
        signals = signal.valid_signals() - {getattr(signal, name) for name in _FAULTS}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        if child := os.fork():
            _close_descriptors()
            os._exit(_exit_code(_supervise(child, signals)))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        is_separate = True
        for name in ("LISTEN_PID", "WATCHDOG_PID"):  # addressed to the process that serves
            if os.environ.get(name) == "1":
                os.environ[name] = str(os.getpid())


def _close_descriptors() -> None:
    """Close all but the standard streams: sockets that were passed on belong to the server."""
    with contextlib.suppress(FileNotFoundError):  # without /proc
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2:
                with contextlib.suppress(OSError):  # the one that listed them
                    os.close(int(name))


if sys.platform == "linux":

    def _supervise(child: int, signals: set[signal.Signals]) -> int:
        """Pass `signals` on and wait for processes until `child` has ended; return its exit code."""
        while (code := _wait_until(child)) is None:
            received = signal.sigwaitinfo(signals)
            if received.si_signo != signal.SIGCHLD and received.si_code != _SI_KERNEL:
                os.kill(child, received.si_signo)
        return code

    def _wait_until(child: int) -> int | None:
        """Wait for all processes that have ended; return the exit code of `child` if it is one of them."""
        while (ended := os.waitpid(-1, os.WNOHANG))[0] not in (0, child):
            pass
        return os.waitstatus_to_exitcode(ended[1]) if ended[0] else None


def _exit_code(code: int) -> int:
    return 0 if code == -signal.SIGTERM else 128 - code if code < 0 else code
