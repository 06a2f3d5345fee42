"""Many simulated lives: `python -m tests.simulation --seeds 10000 --jobs 2`; one, with all that happens in it:
`python -m tests.simulation --seed 7 --verbose`.

Prints a line for each seed that fails, and exits with 1 if one does. The summary goes to stdout, and to `--output`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import Counter
from pathlib import Path

from pronghorn import backend
from tests.simulation.campaign import Tally, campaign, live
from tests.simulation.loop import EPOCH
from tests.support.results import provenance

REPORTS = 20
"""Lines of progress of a run."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="the number of lives; default: %(default)s")
    parser.add_argument("--first", type=int, default=0, help="the first seed; default: %(default)s")
    parser.add_argument("--jobs", type=int, default=1, help="processes; default: %(default)s")
    parser.add_argument("--seed", type=int, help="live this life alone")
    parser.add_argument("--verbose", action="store_true", help="with --seed, print what happens")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the summary there too")
    options = parser.parse_args()
    if options.seed is not None:
        sys.exit(one(options.seed, options.verbose))
    began = time.perf_counter()
    total = Tally()
    reported = 0
    for tally in campaign(options.first, options.seeds, options.jobs):
        for seed, failure in tally.failed.items():
            print(f"seed {seed}: {failure}", f"    python -m tests.simulation --seed {seed} --verbose", sep="\n")
        total.add(tally)
        if total.seeds * REPORTS >= (reported + 1) * options.seeds:
            reported = total.seeds * REPORTS // options.seeds
            speed = total.seeds / (time.perf_counter() - began)
            print(f"{total.seeds} seeds, {speed:.0f} a second, {len(total.failed)} failed", flush=True)
    text = summary(total)
    print(text, end="")
    if options.output:
        options.output.write_text(text)
    sys.exit(bool(total.failed))


def one(seed: int, verbose: bool) -> bool:
    life = live(seed)
    if verbose:
        for when, connection, _, text in sorted(life.trace):
            print(f"{when - EPOCH:10.4f}  {connection or 'server':>6}  {text}")
    for failure in life.failures:
        print(f"failed: {failure}")
    print(f"seed {seed}: {'failed' if life.failures else 'passed'}, trace {life.digest()}")
    return bool(life.failures)


def summary(total: Tally) -> str:
    form = "interpreted" if backend.pure_is_wanted() else "compiled"
    lines = [
        "# Simulated lives",
        "",
        provenance(f"python -m tests.simulation {shlex.join(sys.argv[1:])}", form),
        f"{total.seeds} seeds, {total.seconds / 3600:.0f} virtual hours, {len(total.failed)} seeds failed.",
        "",
        *table("clients and requests", total.counts),
        "",
        *table("faults", total.faults),
    ]
    return "\n".join(lines) + "\n"


def table(title: str, counts: Counter[str]) -> list[str]:
    return [f"| {title} | |", "| --- | --: |", *(f"| {name} | {number} |" for name, number in sorted(counts.items()))]


if __name__ == "__main__":
    main()
