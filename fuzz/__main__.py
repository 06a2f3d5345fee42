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
# Of one input: seconds by the clock, which several targets share with each other, MiB of the process, bytes.
# AddressSanitizer keeps 256 MiB of freed memory, and more for its records.
LIMITS = ("-timeout=60", "-rss_limit_mb=2048", "-max_len=4096")
# The end of what libFuzzer prints about a failure, in lines.
TAIL = 40
_PROGRESS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)", re.MULTILINE)


@dataclass
class Outcome:
    """One target's run: inputs tried, how many of them until the last that reached a new edge of the code, edges
    reached, inputs that reach them, and the failure, or "".
    """

    target: str
    executions: int
    last_new: int
    edges: int
    corpus: int
    failure: str


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
            failed |= bool(done.failure)
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
    parser.add_argument(
        "--keep", action="store_true", help="replace fuzz/inputs by the fewest inputs that reach as much"
    )
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
        options = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={findings}/", str(inputs)]
        status, output = run(target, options, environment, seconds * 2 + 120)
        outcome = read_outcome(target, output, status)
        if keep and not outcome.failure:
            merged = Path(folder, "merged")
            merged.mkdir()
            status, output = run(target, ["-merge=1", str(merged), str(inputs)], environment, 900)
            if status == 0:
                corpus.write(target, without_seeds(target, merged))
            else:
                outcome.failure = "the corpus was not reduced"
    if outcome.failure:
        (findings / "output.txt").write_text(output)
        print(*output.splitlines()[-TAIL:], sep="\n", file=sys.stderr)
        print(f"{target}: {outcome.failure}, see {findings}", file=sys.stderr)
    return outcome


def run(target: str, options: list[str], environment: dict[str, str], seconds: int) -> tuple[int | None, str]:
    """Run libFuzzer. Return its status, None after `seconds`, and its output."""
    command = [sys.executable, "-m", "fuzz.run", target, *options]
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        return None, (error.output or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def read_outcome(target: str, output: str, status: int | None) -> Outcome:
    """Read the lines that libFuzzer writes."""
    progress = [tuple(map(int, each)) for each in _PROGRESS.findall(output)] or [(0, 0, 0)]
    executions, edges, size = progress[-1]
    last_new = next(tried for tried, reached, _ in progress if reached == edges)
    failure = ""
    if "Test unit written to" in output:
        failure = "an input failed"
    elif status is None:
        failure = "the run did not end"
    elif status != 0 or not edges:
        failure = "the run failed"
    return Outcome(target, executions, last_new, edges, size, failure)


def unpack(inputs: list[bytes], folder: Path) -> None:
    folder.mkdir()
    for each in inputs:
        (folder / sha256(each).hexdigest()).write_bytes(each)


def without_seeds(target: str, folder: Path) -> list[bytes]:
    """The inputs in `folder` that are not in tests/corpus."""
    known = set(corpus.seeds(target))
    return [content for path in folder.iterdir() if (content := path.read_bytes()) not in known]


def row(outcome: Outcome) -> str:
    figures = (outcome.executions, outcome.last_new, outcome.edges, outcome.corpus)
    return f"| {outcome.target} | {' | '.join(f'{each:,}' for each in figures)} | {outcome.failure or 'nothing'} |"


def heading(sanitized: bool) -> str:
    guide = "compiled one, with AddressSanitizer and UndefinedBehaviorSanitizer" if sanitized else "interpreted one"
    form = f"both forms, guided by the {guide}"
    return f"""
{provenance(f"python -m fuzz {shlex.join(sys.argv[1:])}", form)}
| target | inputs tried | until the last new edge | edges | corpus | found |
| --- | --: | --: | --: | --: | --- |
"""


if __name__ == "__main__":
    main()
