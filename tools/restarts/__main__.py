"""`python -m tools.restarts`: stop or change servers under load, print a table, exit with 1 if a request was lost."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys

from tools.restarts.changes import CHANGES, STOP
from tools.restarts.serving import Failed
from tools.restarts.trial import PLACES, PROCESSES, WAYS, Setup, lacks, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.restarts", description="Stop or change servers under load.")
    parser.add_argument("--requests", type=int, default=100_000, help="minimum for each setup; default %(default)s")
    parser.add_argument("--stops", type=int, default=20, help="or changes, for each setup; default %(default)s")
    parser.add_argument(
        "--change", choices=[STOP, *CHANGES], default=STOP, help="instead of a stop, do this to a server that goes on"
    )
    parser.add_argument("--processes", choices=PROCESSES, help="only this number of processes")
    parser.add_argument("--place", choices=PLACES, help="only on an inherited socket (fd), or on a port of its own")
    parser.add_argument("--way", choices=WAYS, help="only directly, or through this proxy")
    parser.add_argument("flags", nargs="*", help="options of the server, after --")
    options = parser.parse_args()
    asked = (options.processes, options.place, options.way)
    setups = [
        setup
        for setup in itertools.starmap(Setup, itertools.product(PROCESSES, PLACES, WAYS, [options.change]))
        if setup.is_possible() and all(wanted in (None, part) for wanted, part in zip(asked, setup, strict=False))
    ]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers too
    failed = False
    print(f"{'processes':<10}{'place':<7}{'way':<9}{'stops':>6}{'answered':>10}{'refused':>9}{'lost':>6}", flush=True)
    for setup in setups:
        if reason := lacks(setup):
            print(f"{'  '.join(setup)}: {reason}", file=sys.stderr)
            failed = True
            continue
        try:
            tally = asyncio.run(run(setup, options.requests, options.stops, options.flags))
        except Failed as error:
            print(f"{'  '.join(setup)}: {error}", file=sys.stderr)
            failed = True
            continue
        counts = f"{options.stops:>6}{tally.answered.total():>10}{tally.refused:>9}{tally.lost.total():>6}"
        print(f"{setup.processes:<10}{setup.place:<7}{setup.way:<9}{counts}", flush=True)
        for reason, count in tally.lost.most_common():
            print(f"    {count} × {reason}", flush=True)
        failed |= tally.lost.total() > setup.may_lose(options.stops)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
