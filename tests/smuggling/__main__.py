"""Command line: `python -m tests.smuggling`, in the project's folder. All vectors through all front ends.

The summary goes to stdout, and to `--output FILE`. Ends with 1 if a front end and the server disagree
in a way that is not known, or no longer in one that is known of this version of the front end.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import shlex
import sys
from collections import Counter
from pathlib import Path

from tests.smuggling.front_ends import FrontEnd, installed, version
from tests.smuggling.known import absent, unknown
from tests.smuggling.trial import FRONT, KINDS, PRONGHORN, Outcome, Outcomes, attempt
from tests.support.results import provenance
from tests.support.server import lacks

DISAGREE = "**DISAGREE**"
TITLES = {"request": "A client that speaks HTTP/1.1", "frames": "A client that speaks HTTP/2"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.smuggling")
    names = [each.name for each in installed()]
    parser.add_argument(
        "--front-ends", nargs="+", choices=names, metavar="NAME", default=names, help="default: all that are installed"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the vectors, try each Nth")
    parser.add_argument("--jobs", type=int, default=2, help="front ends at a time; default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the summary there too")
    options = parser.parse_args()
    if reason := lacks():
        sys.exit(f"tests.smuggling: {reason}")
    fronts = [each for each in installed() if each.name in options.front_ends]
    if not fronts:
        sys.exit("tests.smuggling: no front end is installed")
    # A process each: they are started anew, because the server runs in a thread.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.jobs, context, max_tasks_per_child=1) as pool:
        results = list(pool.map(attempt, [each.name for each in fronts], [options.every] * len(fronts)))
    text = "\n".join(report(fronts, results)) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text)
    sys.exit(any(map(fails, fronts, results)))


def fails(front: FrontEnd, outcomes: Outcomes) -> bool:
    """Return whether a front end has an unknown fault, or lacks one that is known of its version."""
    return any(unknown(front.name, key, outcome) for key, outcome in outcomes.items()) or any(
        known.version in version(front.program) for _, known in absent(front.name, outcomes)
    )


def report(fronts: list[FrontEnd], results: list[Outcomes]) -> list[str]:
    versions = {each.program: version(each.program) for each in fronts}
    faults = sum(bool(outcome.faults) for outcomes in results for outcome in outcomes.values())
    return [
        "# Request smuggling behind real front ends",
        "",
        provenance(f"python -m tests.smuggling {shlex.join(sys.argv[1:])}", "compiled"),
        *[f"- {line}" for line in versions.values()],
        "- Envoy is missing: it was not to be had as a package.",
        "",
        PREAMBLE,
        "",
        f"{len(results[0])} vectors, {len(fronts)} front ends, {faults} disagreements.",
        "",
        "| front end | " + " | ".join(COLUMNS) + " |",
        "| --- |" + " --: |" * len(COLUMNS),
        *[totals(front, outcomes) for front, outcomes in zip(fronts, results, strict=True)],
        "",
        *details("Disagreements", fronts, results, "faults"),
        *absences(fronts, results),
        *details("Other differences", fronts, results, "notes", DIFFERENCES),
        *[line for kind in KINDS for line in table(kind, fronts, results)],
    ]


PREAMBLE = """\
Each vector is sent with a request behind it in the same connection (over HTTP/2: beside it, on stream 99), once to an
application that responds after the body, and once to one that responds before. Then another client sends two requests
over the same front end. The front end marks each request that it passes on with a secret, an identifier and the
request line as it has read it. The two disagree if the application sees a request that

- has no mark, or another's: the request before it did not end where the front end saw the end;
- has another method than its mark says, or another target that is not a known rewrite of this front end;
- has a mark in its body: the server took the front end's next request for the body of this one;
- is answered to another client or in another order, or keeps the other client from its answers;
- makes the server log an exception.

`one`, `two`, … are the requests that the application answered, the marked one included. Then comes who refused the
rest, with the status: `front end` or `pronghorn`. Over HTTP/2, an error code in its place says that the front end has
reset the stream or the connection. `closes` and `waits` say that the rest got no response: the connection ended, or
the front end waits for more of the body. Vectors with the same outcomes share a row.

*Lax* is nginx with `proxy_request_buffering off`, `ignore_invalid_headers off` and `underscores_in_headers on`;
haproxy with `option accept-invalid-http-request`; apache2 with `HttpProtocolOptions Unsafe LenientMethods Allow0.9`.
*HTTP/2* is what the front end speaks to the server, with prior knowledge; nginx cannot."""

DIFFERENCES = """\
No smuggling: the front end has rewritten the target as it is known to, has sent the request again itself, or means
another host: the application sees that of an absolute-form target (RFC 9112 section 3.2.2), the mark has the Host
field."""

COLUMNS = (
    "front end refused",
    "pronghorn refused",
    "one request",
    "two requests",
    "more",
    "waits or closes",
    "DISAGREE",
)


def totals(front: FrontEnd, outcomes: Outcomes) -> str:
    counted = Counter(column(outcome) for outcome in outcomes.values())
    return f"| {front.name} | " + " | ".join(str(counted[name]) for name in COLUMNS) + " |"


def column(outcome: Outcome) -> str:
    """The column of the totals in which an outcome counts: that of a refusal, whatever was answered besides."""
    if outcome.faults:
        return "DISAGREE"
    if PRONGHORN in outcome.text:
        return "pronghorn refused"
    if FRONT in outcome.text:
        return "front end refused"
    first = outcome.text.split(",")[0]
    return {"one": "one request", "two": "two requests", "waits": "waits or closes", "closes": "waits or closes"}.get(
        first, "more"
    )


def details(
    title: str, fronts: list[FrontEnd], results: list[Outcomes], field: str, text: str | None = None
) -> list[str]:
    lines = []
    for front, outcomes in zip(fronts, results, strict=True):
        for (_, group, name), outcome in outcomes.items():
            found = list(dict.fromkeys(getattr(outcome, field)))
            if found:
                lines.append(f"- {front.name}, {group}, {code(name)}: {'; '.join(found)}.")
    return [f"## {title}", "", *([text, ""] if text else []), *(lines or ["None."]), ""]


def absences(fronts: list[FrontEnd], results: list[Outcomes]) -> list[str]:
    lines = [
        f"- {front.name}, {group}, {code(name)}: known of {known.version}."
        for front, outcomes in zip(fronts, results, strict=True)
        for (_, group, name), known in absent(front.name, outcomes)
    ]
    return ["## Known disagreements that did not occur", "", *lines, ""] if lines else []


def table(kind: str, fronts: list[FrontEnd], results: list[Outcomes]) -> list[str]:
    lines = [f"## {TITLES[kind]}"]
    groups: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for key in results[0]:
        if key[0] == kind:
            cells = tuple(cell(outcomes[key]) for outcomes in results)
            groups.setdefault(key[1], {}).setdefault(cells, []).append(key[2])
    for group, rows in groups.items():
        lines += ["", f"### {group}", "", "| | " + " | ".join(front.name for front in fronts) + " |"]
        lines.append("| --- |" + " --- |" * len(fronts))
        lines += [f"| {', '.join(map(code, names))} | {' | '.join(cells)} |" for cells, names in rows.items()]
    return [*lines, ""]


def cell(outcome: Outcome) -> str:
    return DISAGREE if outcome.faults else outcome.text


def code(name: str) -> str:
    """A name in Markdown, inside of a table."""
    return "`" + name.replace("`", "'").replace("|", "\\|") + "`"


if __name__ == "__main__":
    main()
