"""Command line: `python -m tests.soak`, in the project's folder, with h2load installed.

Prints a row for each soak and the faults, and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import random
import shlex
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.soak.load import mean_processor
from tests.soak.soak import MIB, Soak
from tests.storm.harness import Storm, lacks_for_storms
from tests.support.certificates import Certificates
from tests.support.results import append, provenance
from tests.support.server import lacks

# As by default.
WRITE_TIMEOUT = 30
# Mean seconds between two sessions or acts of a client. With the short rests of storms, they alone would be the load.
REST = 2.0
HEAD = """\
| server | requests | of crowds | failed | slowest s | acts | load | memory MiB | growth MiB | blocks | faults |
| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
"""


def main() -> None:
    options = parse()
    if options.output:
        append(options.output, heading(options))
    failed = False
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ThreadPoolExecutor(options.jobs) as threads,
    ):
        certificates = Certificates(Path(folder))
        soaks = [Soak(storm, options.load, options.round) for storm in storms(options)]
        runs = {threads.submit(soak.run, certificates): soak for soak in soaks}
        for run in concurrent.futures.as_completed(runs):
            soak = runs[run]
            if error := run.exception():
                soak.report.faults.append(f"soak: {error!r}")
            print(
                row(soak), *soak.report.figures, *(f"!!! {each}" for each in soak.report.faults), sep="\n", flush=True
            )
            if options.output:
                append(options.output, row(soak) + "\n")
            failed |= bool(soak.report.faults)
    sys.exit(failed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of each soak; default: %(default)s")
    parser.add_argument("--load", type=float, default=0.7, help="share of what it can bear; default: %(default)s")
    parser.add_argument("--form", nargs="+", choices=("compiled", "interpreted"), default=["compiled", "interpreted"])
    parser.add_argument("--loop", nargs="+", choices=("asyncio", "uvloop"), default=["asyncio", "uvloop"])
    parser.add_argument("--workers", type=int, default=2, help="of each server; default: %(default)s")
    parser.add_argument("--tls", choices=("none", "ssl", "aiofastnet"), default="none", help="none, or the engine")
    parser.add_argument("--jobs", type=int, default=1, help="soaks at a time; default: %(default)s")
    parser.add_argument("--round", type=float, default=30, help="seconds between two samples; default: %(default)s")
    parser.add_argument("--seed", type=int, help="of what the clients choose; default: a new one")
    parser.add_argument("--output", type=Path, metavar="FILE", help="add a table to this file")
    options = parser.parse_args()
    if reason := lacking(options):
        parser.error(reason)
    return options


def lacking(options: argparse.Namespace) -> str | None:
    """The reason that these soaks cannot run here, or None if they can."""
    if shutil.which("h2load") is None:
        return "h2load is not installed"
    if options.tls == "aiofastnet" and find_spec("aiofastnet") is None:
        return "aiofastnet is not installed"
    reasons = [lacks(form, loop) for form in options.form for loop in options.loop]
    return lacks_for_storms() or next(filter(None, reasons), None)


def storms(options: argparse.Namespace) -> list[Storm]:
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    common = {"tls": options.tls, "workers": options.workers, "seconds": options.minutes * 60, "seed": seed}
    return [
        Storm(loop, form=form, write_timeout=WRITE_TIMEOUT, rest=REST, faults_only=True, **common)
        for form in options.form
        for loop in options.loop
    ]


def heading(options: argparse.Namespace) -> str:
    command = f"python -m tests.soak {shlex.join(sys.argv[1:])}"
    return f"\n{provenance(command, ' and '.join(options.form))}\n{HEAD}"


def row(soak: Soak) -> str:
    storm, report, rounds = soak.storm, soak.report, soak.rounds
    server = f"{storm.form}, {storm.loop}" + ("" if storm.tls == "none" else f", TLS of {storm.tls}")
    load = mean_processor(rounds) / soak.most if soak.most else 0
    cells = (
        server,
        f"{sum(each.answered for each in rounds):,}",
        f"{report.answers:,}",
        f"{soak.failures:,}",
        f"{report.slowest:.1f}",
        f"{report.acts:,}",
        f"{load:.0%}",
        f"{soak.middle('memory', 1) / MIB:.1f}",
        f"{soak.growth('memory') / MIB:+.1f}" if soak.has_enough_samples else "–",
        f"{soak.growth('blocks'):+,.0f}" if soak.has_enough_samples else "–",
        str(len(report.faults)),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
