"""Command line: `python -m tests.h2spec PROGRAM`, in the project's folder. PROGRAM is h2spec, which is written in Go.

The summary goes to stdout, and to `--output FILE`. It exits with 1 if a case fails that is not in KNOWN.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pronghorn
from tests.support.certificates import Certificates
from tests.support.server import lacks, process

FORMS = ("compiled", "interpreted")
SECONDS = 600

# Cases that fail for a reason: their places in RFC 7540 or in the suite, what the client sends, and the reason.
KNOWN = {
    (
        "http2/3.5",
        "Sends invalid connection preface",
    ): "without TLS, HTTP/1.1 is on the same port, and answers 400",
    ("http2/5.3.1", "Sends HEADERS frame that depends on itself"): "priorities of RFC 7540, which RFC 9113 has removed",
    ("http2/5.3.1", "Sends PRIORITY frame that depend on itself"): "priorities of RFC 7540, which RFC 9113 has removed",
}

GROUPS = {"generic": "generic", "http2": "RFC 7540", "hpack": "RFC 7541"}


class Case(NamedTuple):
    """One case, and the reason of its failure, or None."""

    place: str
    title: str
    failure: str | None


def main() -> None:
    options = arguments()
    text = heading()
    unknown = 0
    for form in FORMS:
        if reason := lacks(form):
            sys.exit(f"tests.h2spec: {reason}")
        for secure in (False, True):
            cases = run(options.program, form, secure)
            unknown += sum(case.failure is not None and case[:2] not in KNOWN for case in cases)
            text += section(form, secure, cases)
    print(text, end="")
    if options.output:
        options.output.write_text(text)
    sys.exit(bool(unknown))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.h2spec")
    parser.add_argument("program", help="path of h2spec")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the summary there too")
    return parser.parse_args()


def heading() -> str:
    return (
        f"# h2spec\n\n{datetime.date.today()}, CPython {platform.python_version()}:\n\n"
        "    python -m tests.h2spec PROGRAM --output tests/h2spec/results.md\n\n"
        "PROGRAM is h2spec 2.6.0, built from its source, and runs with --strict. Its cases are those of RFC 7540 and "
        "7541.\n"
    )


def run(program: str, form: str, secure: bool) -> list[Case]:
    """All cases against a server of one form, with TLS if `secure`."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        flags = Certificates(directory).flags if secure else ()
        server = stack.enter_context(process("asgi:app", "--http2", "--no-access-log", *flags, form=form))
        report = directory / "report.xml"
        # The application reads the body first: an answer before that hides what the suite does to the body.
        command = [program, "--strict", "--port", str(server.port), "--path", "/digest", "--junit-report", str(report)]
        # A connection that ends lingers for two seconds.
        command += ["--timeout", "5", *(["--tls", "--insecure"] if secure else [])]
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=SECONDS)
        return list(read(report))


def read(report: Path) -> Iterator[Case]:
    for suite in xml.etree.ElementTree.parse(report).iter("testsuite"):
        for case in suite.iter("testcase"):
            failure = next((each.text or "" for each in case if each.tag in ("failure", "error")), None)
            yield Case(case.get("package", ""), case.get("classname", ""), failure)


def section(form: str, secure: bool, cases: list[Case]) -> str:
    lines = [f"\n## pronghorn {pronghorn.__version__}, {form}, {'TLS' if secure else 'without TLS'}\n"]
    lines += ["| Cases | | passed | failed |", "| --- | --: | --: | --: |"]
    for group, name in GROUPS.items():
        own = [case for case in cases if case.place.startswith(f"{group}/")]
        failed = sum(case.failure is not None for case in own)
        lines.append(f"| {name} | {len(own)} | {len(own) - failed} | {failed or ''} |")
    failures = [case for case in cases if case.failure is not None]
    if failures:
        lines += ["", "| Failed | Reason |", "| --- | --- |"]
        for case in failures:
            reason = KNOWN.get(case[:2], "**unknown**: " + " ".join((case.failure or "").split()))
            lines.append(f"| {case.place}: {case.title} | {reason} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
