"""Faults of workers, and of the system that the server runs on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from importlib.util import find_spec
from pathlib import Path

from tools.restarts.changes import FINISHED, SERVES, Change
from tools.restarts.serving import Failed, Server

_ONLY = ("http1",)

# More connections than the descriptors that `_FEW` leaves, so that later ones wait.
_CROWD = 100
_FEW = ("sh", "-c", 'ulimit -n 80; exec "$@"', "sh")

_FULL = ("sh", "-c", 'exec "$@" >/dev/full', "sh")
_CLOSED = ("bash", "-c", 'exec "$@" > >(head -n 100 >/dev/null; echo "The log is closed" >&2)', "bash")

_CERTIFICATE = "certificate.pem"
_RENEWED = "Renewed the certificates"

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
_FAKED = (
    "env",
    f"LD_PRELOAD={_LIBRARY}",
    "FAKETIME_TIMESTAMP_FILE={folder}/clock",
    "FAKETIME_CACHE_DURATION=1",
    "DONT_FAKE_MONOTONIC=1",
    "NO_FAKE_STAT=1",
)


async def _ignore_sigterm(server: Server) -> None:
    killed, serving, ended = server.count("killing it"), server.count(SERVES), server.count(FINISHED)
    await server.ask("/deaf")
    server.signal(signal.SIGHUP)
    await server.wait_for("killing it", killed + 1)
    await server.wait_for(SERVES, serving + 2)
    await server.wait_for(FINISHED, ended + 1)


async def _hang_at_startup(server: Server) -> None:
    aborted = server.count("aborting the restart")
    file = server.folder / "hang"
    file.touch()
    server.signal(signal.SIGHUP)
    await server.wait_for("aborting the restart", aborted + 1)
    file.unlink()


async def _take_descriptors(server: Server) -> None:
    refused = server.count("Cannot accept connections")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(_CROWD):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
        await server.wait_for("Cannot accept connections", refused + 1)
    await server.ask("/")


async def _write_to_full_disk(server: Server) -> None:
    await server.ask("/")


async def _close_log(server: Server) -> None:
    await server.wait_for("The log is closed", 1)
    await server.ask("/")


async def _set_clock(server: Server) -> None:
    """Move the wall clock by a day, forwards and then back; `date` shows it, and no deadline does."""
    for day in ("+1d", "+0d"):
        before = await server.ask("/")
        (server.folder / "clock").write_text(day + "\n")
        while _weekday(await server.ask("/")) == _weekday(before):
            await asyncio.sleep(0.1)


def _weekday(head: bytes) -> bytes:
    return head.partition(b"\r\ndate: ")[2][:3]


def _write_certificate(folder: Path) -> bytes:
    """Put a new certificate with its key into the folder, in one step; return it, encoded by DER."""
    import trustme

    issued = trustme.CA().issue_cert("127.0.0.1")
    file = folder / "next.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(file)
    file.rename(folder / _CERTIFICATE)
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


async def _renew_certificate(server: Server) -> None:
    """Replace the certificate: a single process reads it, workers are replaced. New connections are shown it."""
    renewed, finished = server.count(_RENEWED), server.count(FINISHED)
    expected = _write_certificate(server.folder)
    server.signal(signal.SIGHUP)
    if server.has_workers:
        await server.wait_for(FINISHED, finished + 2)
    else:
        await server.wait_for(_RENEWED, renewed + 1)
    if await server.certificate() != expected:
        raise Failed("the server shows another certificate than the new one")


def lacks_for(name: str) -> str | None:
    """The reason why the fault `name` cannot happen here; None if it can."""
    if name == "certificate" and find_spec("trustme") is None:
        return "trustme is not installed"
    return "libfaketime is not installed" if name == "clock" and _LIBRARY is None else None


FAULTS = {
    "deaf": Change(
        "a worker ignores SIGTERM in a restart, and is killed",
        _ignore_sigterm,
        ("--timeout-graceful-shutdown", "3"),
        clients=_ONLY,
        most=3,
        loses=True,
        errors=r"ERROR: +Child process \[\d+\] did not end in time",
    ),
    "startup": Change(
        "the startup hangs in a restart, which is aborted",
        _hang_at_startup,
        ("--lifespan", "on", "--timeout-worker-healthcheck", "5"),
        clients=_ONLY,
        most=3,
        errors=r"ERROR: +New child process \[\d+\] was not ready in time",
    ),
    "descriptors": Change(
        "no file descriptors are left, and then some",
        _take_descriptors,
        prefix=_FEW,
        processes=("one",),
        clients=_ONLY,
    ),
    "full": Change(
        "the access log's disk is full",
        _write_to_full_disk,
        ("--access-log",),
        _FULL,
        clients=_ONLY,
        most=1,
        errors="ERROR: +Cannot write the log to standard output: No space left on device",
    ),
    "closed": Change(
        "the access log's pipe is closed",
        _close_log,
        ("--access-log",),
        _CLOSED,
        clients=_ONLY,
        most=1,
        errors="ERROR: +Cannot write the log to standard output: Broken pipe",
    ),
    "certificate": Change(
        "SIGHUP renews the certificate",
        _renew_certificate,
        ("--ssl-certfile", f"{{folder}}/{_CERTIFICATE}"),
        processes=("one", "workers"),
        clients=("http1", "http2"),
        prepare=_write_certificate,
    ),
    "clock": Change(
        "the wall clock is moved by a day and back",
        _set_clock,
        prefix=_FAKED,
        processes=("one",),
        clients=_ONLY,
    ),
}
