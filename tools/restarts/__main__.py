"""`python -m tools.restarts`: stop or change servers under load, print a table, exit with 1 if a request was lost."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys
from collections.abc import Iterable

from tools.restarts.changes import STOP
from tools.restarts.report import RESULTS, Table
from tools.restarts.serving import Failed
from tools.restarts.trial import CHANGES, CLIENTS, PLACES, PROCESSES, WAYS, Setup, lacks, run


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
    parser.add_argument("--write", action="store_true", help=f"with --all, also write the table to {RESULTS.name}")
    parser.add_argument("--client", choices=CLIENTS, help="the protocol; default http1, and each of them with --all")
    parser.add_argument("--processes", choices=PROCESSES, help="only this number of processes")
    parser.add_argument("--place", choices=PLACES, help="only on an inherited socket (fd), or on a port of its own")
    parser.add_argument("--way", choices=WAYS, help="only directly, or through this proxy")
    parser.add_argument("flags", nargs="*", help="options of the server, after --")
    options = parser.parse_args()
    if options.write and not options.all:
        parser.error("--write needs --all")
    asked = (options.processes, options.place, options.way, options.change, options.client)
    setups = everything() if options.all else combinations(options.change or STOP, options.client or "http1")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers too
    setups = [each for each in setups if all(part in (None, own) for part, own in zip(asked, each, strict=True))]
    if not options.write:
        return run_all(setups, Table(None), options)
    with RESULTS.open("w", encoding="utf-8") as file:
        return run_all(setups, Table(file), options)


def run_all(setups: Iterable[Setup], table: Table, options: argparse.Namespace) -> int:
    """Run each of `setups`, and add its outcome to `table`. Return 1 if one failed or lost a request, 0 otherwise."""
    has_failed = False
    for setup in setups:
        times = setup.times(options.stops)
        try:
            if reason := lacks(setup):
                raise Failed(reason)
            tally = asyncio.run(run(setup, options.requests, times, options.flags))
        except Failed as error:
            print(f"{'  '.join(setup)}: {error}", file=sys.stderr)
            has_failed = True
            continue
        table.add(setup, times, tally)
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


if __name__ == "__main__":
    sys.exit(main())
