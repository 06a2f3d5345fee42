"""Instructions for each request, counted by callgrind and compared with the budgets in `instructions.toml`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pronghorn import backend

from .replay import REFERENCE, REQUESTS, SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = ROOT / "bench" / "instructions.toml"
HEADER = (
    "# Instructions for each request, by version of CPython. `python -m bench.instructions --update` writes them.\n"
)

TOLERANCE = 0.05
# The reference has no code of pronghorn: where it differs by more, the interpreter is another one.
SAME_INTERPRETER = 0.01
SECONDS = 300


class CountFailed(Exception):
    """Nothing was counted; the text says why."""


@dataclass(frozen=True)
class Counts:
    """Instructions per request of each scenario, with the versions of Python and the compiler."""

    python: str
    compiler: str
    scenarios: Mapping[str, int]

    @property
    def minor(self) -> str:
        """The version of CPython that has budgets of its own."""
        return ".".join(self.python.split(".")[:2])


def main() -> None:
    """Count, print the table; end with 1 where a count is above its budget."""
    parser = argparse.ArgumentParser("python -m bench.instructions", description="Count instructions for each request.")
    parser.add_argument("--update", action="store_true", help="write the counts as this interpreter's budgets")
    update = parser.parse_args().update
    try:
        counted = count()
    except CountFailed as error:
        sys.exit(f"bench.instructions: {error}")
    every = read(BUDGETS.read_text(encoding="utf-8"))
    if update:
        every[counted.minor] = counted
        BUDGETS.write_text(written(every), encoding="utf-8")
    budgets = every.get(counted.minor)
    print(table(budgets, counted))
    reason = why_not_comparable(budgets, counted)
    if budgets is None or reason:
        print(f"Not compared: {reason}.")
    elif any(is_above(budgets.scenarios.get(name, 0), each) for name, each in counted.scenarios.items()):
        sys.exit("Above the budget. If the increase is necessary, --update writes new budgets.")


def count() -> Counts:
    """Replay every scenario under callgrind. Raises CountFailed."""
    spec = importlib.util.find_spec("pronghorn._wire_c.http1.connection") if backend.compiled_is_available() else None
    if spec is None or spec.origin is None:
        raise CountFailed("only the compiled form is counted, and it was not built")
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CountFailed("valgrind is not installed")
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment["PYTHONHASHSEED"] = "0"
    with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
        output = Path(folder, "callgrind.out")
        command = [
            *(valgrind, "--tool=callgrind", f"--callgrind-out-file={output}"),
            *("--dump-before=getpgid", "--combine-dumps=yes"),
            *(sys.executable, "-m", "bench.replay", *SCENARIOS),
        ]
        try:
            subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            raise CountFailed(f"valgrind has not ended within {SECONDS} s") from None
        except subprocess.CalledProcessError as error:
            raise CountFailed(f"valgrind ended with {error.returncode}:\n{error.stderr}") from None
        scenarios = parse(output.read_text(encoding="utf-8"))
    return Counts(platform.python_version(), compiler(Path(spec.origin).read_bytes()), scenarios)


def parse(output: str) -> dict[str, int]:
    """The counts in what callgrind wrote: one before the first mark, then those between marks and those around them
    in turn. Raises CountFailed.
    """
    totals = [int(total) for total in re.findall(r"^totals: (\d+)$", output, re.MULTILINE)]
    if len(totals) != 2 * len(SCENARIOS) + 1:
        raise CountFailed(f"callgrind wrote {len(totals)} counts for {len(SCENARIOS)} scenarios")
    return {name: round(total / REQUESTS) for name, total in zip(SCENARIOS, totals[1::2], strict=True)}


def compiler(module: bytes) -> str:
    """Name and major version of the compiler of an extension module, from its own note."""
    match = re.search(rb"GCC: \([^)]*\) (\d+)|clang version (\d+)", module)
    if match is None:
        return "unknown"
    gcc, clang = match.groups()
    return f"GCC {gcc.decode()}" if gcc else f"clang {clang.decode()}"


def read(text: str) -> dict[str, Counts]:
    """The budgets in a TOML document, by minor version."""
    return {
        minor: Counts(table["python"], table["compiler"], table["instructions"])
        for minor, table in tomllib.loads(text).items()
    }


def written(budgets: Mapping[str, Counts]) -> str:
    """The TOML document that `read` reads."""
    lines = [HEADER]
    for minor, each in sorted(budgets.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        lines += [f'["{minor}"]', f'python = "{each.python}"', f'compiler = "{each.compiler}"', ""]
        lines += [f'["{minor}".instructions]', *(f"{name} = {value}" for name, value in each.scenarios.items()), ""]
    return "\n".join(lines)


def why_not_comparable(budgets: Counts | None, counted: Counts) -> str:
    """The reason why counts and budgets cannot be compared, empty if they can."""
    if budgets is None:
        return f"there are no budgets for CPython {counted.minor}"
    if budgets.compiler != counted.compiler:
        return f"compiled by {counted.compiler}, the budgets are for {budgets.compiler}"
    reference = budgets.scenarios[REFERENCE]
    if abs(counted.scenarios[REFERENCE] - reference) > reference * SAME_INTERPRETER:
        return f"the reference differs: another build of CPython than the {budgets.python} of the budgets"
    return ""


def is_above(budget: int, counted: int) -> bool:
    """True if the count is a regression; without a budget, which is 0, it always is."""
    return counted > budget * (1 + TOLERANCE)


def table(budgets: Counts | None, counted: Counts) -> str:
    """A line for each scenario."""
    lines = [
        f"Instructions for each request, CPython {counted.python}, {counted.compiler}",
        f"{'scenario':12}{'budget':>10}{'counted':>10}{'difference':>12}",
    ]
    for name, each in counted.scenarios.items():
        budget = budgets.scenarios.get(name, 0) if budgets else 0
        if budget:
            line = f"{name:12}{budget:>10,}{each:>10,}{each / budget - 1:>+12.1%}  {remark(budget, each)}"
        else:
            line = f"{name:12}{'none':>10}{each:>10,}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def remark(budget: int, counted: int) -> str:
    """A remark on a count outside the tolerance."""
    if is_above(budget, counted):
        return f"more than {TOLERANCE:.0%} above"
    if counted < budget * (1 - TOLERANCE):
        return f"more than {TOLERANCE:.0%} below: lower the budget with --update"
    return ""


if __name__ == "__main__":
    main()
