"""Command line: `python -m tests.autobahn --help`, in the project's folder."""

from __future__ import annotations

import argparse
import datetime
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pronghorn
from tests.autobahn import runners
from tests.autobahn.outcome import Outcome, read
from tests.autobahn.serving import FORMS, serve
from tests.autobahn.summary import tables
from tests.support.server import lacks

RUNNERS = {"original": runners.run_original, "kosoku": runners.run_kosoku}


def main() -> None:
    """Run the cases, print the summary, and exit with 1 if any failed."""
    options = arguments()
    summary, failures = heading(options.runner), []
    for subject, url in subjects(options):
        outcomes = run(options, subject, url)
        summary += "\n" + tables(subject, outcomes)
        failures += [outcome for outcome in outcomes if outcome.verdict == "FAILED"]
    print(summary, end="")
    if options.output:
        options.output.write_text(summary)
    for outcome in failures:
        print(outcome.explain(), file=sys.stderr)
    sys.exit(bool(failures))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn", description=runners.__doc__)
    parser.add_argument("--case", action="append", default=[], metavar="PATTERN", help="such as 5.*; may be repeated")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="such as 12.*; likewise")
    parser.add_argument("--form", choices=FORMS, help="of pronghorn; both if not given")
    parser.add_argument("--url", help="a server that runs and echoes, in place of pronghorn")
    parser.add_argument("--runner", choices=RUNNERS, default="original", help="default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the summary there too")
    return parser.parse_args()


def subjects(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The name and address of each server to try, while it runs."""
    if options.url:
        yield options.url, options.url
        return
    for form in [options.form] if options.form else FORMS:
        if reason := lacks(form):
            sys.exit(f"tests.autobahn: {reason}")
        with serve(form) as url:
            yield f"pronghorn {pronghorn.__version__}, {form}", url


def run(options: argparse.Namespace, subject: str, url: str) -> list[Outcome]:
    reports = runners.BUILD / "reports" / options.runner / "".join(filter(str.isalnum, subject))
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    print(f"{subject}: reports go to {reports}", file=sys.stderr)
    try:
        RUNNERS[options.runner](url, reports, options.case, options.exclude)
    except runners.Unavailable as error:
        sys.exit(f"tests.autobahn: {error}")
    return read(reports)


def heading(runner: str) -> str:
    program = runners.REQUIREMENT.replace("==", " ") if runner == "original" else f"kosoku {_version('kosoku')}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = ", ".join([program, python, *(f"{name} {_version(name)}" for name in ("uvloop", "isal"))])
    return f"""\
# Autobahn|Testsuite

{datetime.datetime.now(datetime.UTC).date()}, {versions}:

    {shlex.join(["python", "-m", "tests.autobahn", *sys.argv[1:]])}

FAILED breaks RFC 6455 or 7692. NON-STRICT and INFORMATIONAL are within them: the suite would rather see something else,
or has no opinion.
"""


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
