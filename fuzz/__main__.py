"""Command line: `python -m fuzz`, in the project's folder, with atheris installed. See docs/contributing.md."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fuzz import corpus, sanitizers
from fuzz.targets import TARGETS
from tests.support.results import append, provenance

FINDINGS = Path("build/fuzz")
# Of one input: seconds, MiB of the process, bytes.
LIMITS = ("-timeout=20", "-rss_limit_mb=1024", "-max_len=4096")
_PROGRESS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)", re.MULTILINE)


@dataclass
class Outcome:
    """One target's run: inputs tried, how many of them until the last that reached a new edge of the code, edges
    reached, inputs kept, and whether one failed.
    """

    target: str
    executions: int
    last_new: int
    edges: int
    kept: int
    failed: bool


def main() -> None:
    options = parse()
    environment = {**os.environ, **(sanitizers.environment() if options.sanitized else {})}
    if options.output:
        append(options.output, heading(options.sanitized))
    failed = False
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as threads:
        runs = [
            threads.submit(fuzz, target, options.seconds, options.keep, environment)
            for target in options.targets or TARGETS
        ]
        for run in concurrent.futures.as_completed(runs):
            done = run.result()
            failed |= done.failed
            print(row(done), flush=True)
            if options.output:
                append(options.output, row(done) + "\n")
    sys.exit(failed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all, or some of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target; default: %(default)s")
    parser.add_argument(
        "--sanitized", action="store_true", help="find faults of memory in the compiled form; needs clang"
    )
    parser.add_argument("--keep", action="store_true", help="write the inputs that reach new code to fuzz/inputs")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time; default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="add a table to this file")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    return options


def fuzz(target: str, seconds: int, keep: bool, environment: dict[str, str]) -> Outcome:
    """Run one target. An input that fails is kept in build/fuzz, with what it led to."""
    findings = FINDINGS / target
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "inputs")
        unpack(corpus.read(target) + corpus.seeds(target), inputs)
        options = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={findings}/"]
        run = subprocess.run(
            [sys.executable, "-m", "fuzz.run", target, *options, str(inputs)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds * 2 + 120,
            check=False,
        )
        output = run.stdout.decode(errors="replace")
        if run.returncode:
            (findings / "output.txt").write_text(output)
            print(f"{target}: an input failed, see {findings}", file=sys.stderr)
        elif keep:
            corpus.write(target, smallest(target, inputs, environment))
    return outcome(target, output, failed=run.returncode != 0)


def outcome(target: str, output: str, *, failed: bool) -> Outcome:
    """Read the lines that libFuzzer writes."""
    progress = [tuple(map(int, each)) for each in _PROGRESS.findall(output)] or [(0, 0, 0)]
    executions, edges, kept = progress[-1]
    last_new = next(tried for tried, reached, _ in progress if reached == edges)
    return Outcome(target, executions, last_new, edges, kept, failed)


def unpack(inputs: list[bytes], folder: Path) -> None:
    folder.mkdir()
    for each in inputs:
        (folder / sha256(each).hexdigest()).write_bytes(each)


def smallest(target: str, inputs: Path, environment: dict[str, str]) -> list[bytes]:
    """The fewest inputs that reach what all reach, but for those of tests/corpus."""
    merged = inputs.parent / "merged"
    merged.mkdir()
    subprocess.run(
        [sys.executable, "-m", "fuzz.run", target, "-merge=1", str(merged), str(inputs)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=900,
        check=True,
    )
    known = set(corpus.seeds(target))
    return [content for path in merged.iterdir() if (content := path.read_bytes()) not in known]


def row(outcome: Outcome) -> str:
    found = "an input failed" if outcome.failed else "nothing"
    figures = (outcome.executions, outcome.last_new, outcome.edges, outcome.kept)
    return f"| {outcome.target} | {' | '.join(f'{each:,}' for each in figures)} | {found} |"


def heading(sanitized: bool) -> str:
    form = "compiled, AddressSanitizer and UndefinedBehaviorSanitizer" if sanitized else "interpreted"
    return f"""
{provenance(f"python -m fuzz {shlex.join(sys.argv[1:])}", form)}
| target | inputs tried | until the last new edge | edges | inputs kept | found |
| --- | --: | --: | --: | --: | --- |
"""


if __name__ == "__main__":
    main()
