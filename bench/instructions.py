"""Instructions for each request, counted by callgrind and compared with the budgets in `instructions.toml`."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pronghorn import backend

from . import budgets, replay, served
from .budgets import Counts
from .callgrind import ROOT, CountFailed, counting, environment, parse

TOLERANCE = 0.05
SECONDS = 300


def main() -> None:
    """Count, print the tables; end with 1 where a count is above its budget."""
    parser = argparse.ArgumentParser("python -m bench.instructions", description="Count instructions for each request.")
    parser.add_argument("--update", action="store_true", help="write the counts as this interpreter's budgets")
    update = parser.parse_args().update
    try:
        counted = count()
    except CountFailed as error:
        sys.exit(f"bench.instructions: {error}")
    every = budgets.read(budgets.PATH.read_text(encoding="utf-8"))
    if update:
        every[counted.minor] = counted
        budgets.PATH.write_text(budgets.written(every), encoding="utf-8")
    wanted = every.get(counted.minor, Counts(counted.python, counted.compiler, {}))
    title = f"Instructions for each request, CPython {counted.python}, {counted.compiler}"
    print(budgets.table(title, wanted.replayed, counted.replayed, TOLERANCE))
    title = f"In a whole server, {', '.join(map(' '.join, counted.libraries.items()))}"
    print(budgets.table(title, wanted.served, counted.served, TOLERANCE))
    for name in served.SCENARIOS.keys() - counted.served:
        print(f"Not counted: {name}, which needs {' and '.join(served.SCENARIOS[name].libraries)}.")
    if reason := budgets.why_not_comparable(every.get(counted.minor), counted):
        print(f"Not compared: {reason}.")
    elif list(above(wanted, counted)):
        sys.exit("Above the budget. If the increase is necessary, --update writes new budgets.")


def count() -> Counts:
    """Count every scenario, on all cores. Raises CountFailed."""
    spec = importlib.util.find_spec("pronghorn._wire_c.http1.connection") if backend.compiled_is_available() else None
    if spec is None or spec.origin is None:
        raise CountFailed("only the compiled form is counted, and it was not built")
    libraries = served.versions()
    with ThreadPoolExecutor() as pool:
        replayed = pool.submit(count_replayed)
        servers = list(pool.map(served.count, served.groups(libraries)))
    return Counts(
        platform.python_version(),
        compiler(Path(spec.origin).read_bytes()),
        replayed.result(),
        {name: counted for server in servers for name, counted in server.items()},
        libraries,
    )


def count_replayed() -> dict[str, int]:
    """Replay every scenario under callgrind. Raises CountFailed."""
    with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
        output = Path(folder, "callgrind.out")
        command = counting(output, "-m", "bench.replay", *replay.SCENARIOS)
        try:
            subprocess.run(
                command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            raise CountFailed(f"valgrind has not ended within {SECONDS} s") from None
        except subprocess.CalledProcessError as error:
            raise CountFailed(f"valgrind ended with {error.returncode}:\n{error.stderr}") from None
        return parse(output.read_text(encoding="utf-8"), list(replay.SCENARIOS), replay.REQUESTS)


def compiler(module: bytes) -> str:
    """Name and major version of the compiler of an extension module, from its own note."""
    match = re.search(rb"GCC: \([^)]*\) (\d+)|clang version (\d+)", module)
    if match is None:
        return "unknown"
    gcc, clang = match.groups()
    return f"GCC {gcc.decode()}" if gcc else f"clang {clang.decode()}"


def above(wanted: Counts, counted: Counts) -> Iterator[str]:
    """The scenarios above their budgets; prints those that other versions of libraries keep from being compared."""
    for name, each in counted.replayed.items():
        if budgets.is_above(wanted.replayed.get(name, 0), each, TOLERANCE):
            yield name
    for name, each in counted.served.items():
        if others := budgets.other_versions(wanted, counted, served.SCENARIOS[name].libraries):
            print(f"Not compared: {name} in a whole server, with {others}.")
        elif budgets.is_above(wanted.served.get(name, 0), each, TOLERANCE):
            yield name


if __name__ == "__main__":
    main()
