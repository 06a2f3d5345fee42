"""Command line: `python -m tests.attacks`, in the project's folder. Each attack runs on a server of its own.

The summary goes to stdout, and to `--output FILE`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from tests.attacks.clients import ATTACKS, under
from tests.attacks.outcome import Outcome
from tests.support.results import provenance
from tests.support.server import lacks, process

RATE = 200
CONNECTIONS = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks")
    parser.add_argument("--seconds", type=float, default=10, help="of each attack; default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the summary there too")
    options = parser.parse_args()
    if reason := lacks():
        sys.exit(f"tests.attacks: {reason}")
    lines = [
        "# Hostile clients of HTTP/2",
        "",
        provenance(f"python -m tests.attacks {shlex.join(sys.argv[1:])}", "compiled"),
        f"One worker. {CONNECTIONS} connections attack as fast as they can, and are opened again when they end. An",
        f"honest client sends {RATE} requests a second meanwhile; each counts from the time when it was due. Growth is",
        "that of the server's memory at its highest.",
        "",
        "| attack | | p50 ms | p99 ms | failed of the honest | growth MiB | connections opened |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    for attack in (None, *ATTACKS):
        with process("attacked:app", "--http2", "--no-access-log") as server:
            outcome = under(server, attack, CONNECTIONS, options.seconds, RATE)
        name, source = (attack.name, attack.source) if attack else ("none", "")
        lines.append(row(name, source, outcome))
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text)


def row(name: str, source: str, outcome: Outcome) -> str:
    growth = f"{outcome.grown / 1048576:.0f}"
    failed = f"{outcome.failures} of {outcome.requests}"
    times = f"{outcome.p50:.2f} | {outcome.p99:.2f}"
    return f"| {name} | {source} | {times} | {failed} | {growth} | {outcome.connections} |"


if __name__ == "__main__":
    main()
