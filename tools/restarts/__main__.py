"""`python -m tools.restarts`: stop or change servers under load, print a table, exit with 1 if a request was lost."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import statistics
import sys
from collections.abc import Iterable

from tools.restarts.changes import STOP
from tools.restarts.clients import Tally
from tools.restarts.serving import Failed
from tools.restarts.trial import CHANGES, CLIENTS, PLACES, PROCESSES, WAYS, Setup, lacks, run

_COLUMNS = (
    *("change", "processes", "place", "way", "client"),
    *("times", "requests", "failed", "resent", "refused", "median s", "longest s"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.restarts", description="Stop or change servers under load.")
    parser.add_argument("--requests", type=int, default=100_000, help="minimum for each setup; default %(default)s")
    parser.add_argument(
        "--stops", type=int, default=20, help="or changes, for each setup; default %(default)s, less of slow faults"
    )
    parser.add_argument(
        "--change", choices=[STOP, *CHANGES], help="instead of a stop, do this to a server that serves on"
    )
    parser.add_argument("--all", action="store_true", help="every change with every client, directly")
    parser.add_argument("--client", choices=CLIENTS, help="the protocol; default http1, and each of them with --all")
    parser.add_argument("--processes", choices=PROCESSES, help="only this number of processes")
    parser.add_argument("--place", choices=PLACES, help="only on an inherited socket (fd), or on a port of its own")
    parser.add_argument("--way", choices=WAYS, help="only directly, or through this proxy")
    parser.add_argument("flags", nargs="*", help="options of the server, after --")
    options = parser.parse_args()
    asked = (options.processes, options.place, options.way, options.change, options.client)
    setups = everything() if options.all else combinations(options.change or STOP, options.client or "http1")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers too
    has_failed = False
    print("| " + " | ".join(_COLUMNS) + " |")
    print("| " + " | ".join("---" if name in Setup._fields else "---:" for name in _COLUMNS) + " |", flush=True)
    for setup in setups:
        if not all(wanted in (None, part) for wanted, part in zip(asked, setup, strict=True)):
            continue
        times = setup.times(options.stops)
        try:
            if reason := lacks(setup):
                raise Failed(reason)
            tally = asyncio.run(run(setup, options.requests, times, options.flags))
        except Failed as error:
            print(f"{'  '.join(setup)}: {error}", file=sys.stderr)
            has_failed = True
            continue
        print(row(setup, times, tally), flush=True)
        for reason, count in tally.lost.most_common():
            print(f"{'  '.join(setup)}: {count} × {reason}", file=sys.stderr, flush=True)
        has_failed |= tally.lost.total() > setup.may_lose(times)
    return int(has_failed)


def combinations(change: str, client: str) -> Iterable[Setup]:
    """All setups with this change and this client."""
    setups = itertools.starmap(Setup, itertools.product(PROCESSES, PLACES, WAYS, [change], [client]))
    return filter(Setup.is_possible, setups)


def everything() -> Iterable[Setup]:
    """All changes with all clients, directly: stops on an inherited socket, other changes on a port of the server."""
    for change, client, processes in itertools.product([STOP, *CHANGES], CLIENTS, PROCESSES):
        setup = Setup(processes, "fd" if change == STOP else "port", "direct", change, client)
        if setup.is_possible():
            yield setup


def row(setup: Setup, times: int, tally: Tally) -> str:
    """A line of the table. Its seconds last from the beginning of a change until the log shows that it is complete."""
    what = "another server takes its place" if setup.change == STOP else CHANGES[setup.change].what
    answered, lost = tally.answered.total(), tally.lost.total()
    seconds = f"{statistics.median(tally.seconds):.1f} | {max(tally.seconds):.1f}" if tally.seconds else "|"
    outcome = f"{times} | {answered + lost:,} | {lost:,} | {tally.resent:,} | {tally.refused:,} | {seconds}"
    return f"| {what} | {setup.processes} | {setup.place} | {setup.way} | {setup.client} | {outcome} |"


if __name__ == "__main__":
    sys.exit(main())
