"""`python -m tools.wheels`: build into dist/, test everything, print a table; exit with 1 if anything is wrong."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.wheels.building import ROOT, Failed, build_all, make_tools, moment, pythons, run
from tools.wheels.contents import faults
from tools.wheels.environment import Environment

BANNER = "the compiled form was NOT built"
COLUMNS = ("distribution", "KiB", "built twice", "contents", "without a compiler")


class Report:
    """The results for each distribution; `failed` is true once one of them is wrong."""

    def __init__(self) -> None:
        self.failed = False
        self._rows: dict[str, dict[str, str]] = {}
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"=== {text} ({time.monotonic() - self._began:.0f} s)", file=sys.stderr, flush=True)

    def note(self, path: Path, column: str, value: str) -> None:
        self._rows.setdefault(path.name, {})[column] = value

    def fail(self, path: Path, column: str, reason: str) -> None:
        self.failed = True
        self.note(path, column, "FAILED")
        print(f"{path.name}: {reason}", file=sys.stderr, flush=True)

    def table(self) -> Iterator[str]:
        cells = [list(COLUMNS)]
        cells += [[name, *(row.get(column, "–") for column in COLUMNS[1:])] for name, row in self._rows.items()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells:
            yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.wheels", description="Build and test every distribution.")
    parser.add_argument("--python", default="", metavar="MINOR", help="only this version, such as 3.13")
    parser.add_argument("--once", action="store_true", help="do not build again to compare the bytes")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER", help="default dist/")
    options = parser.parse_args()
    found = pythons(options.python)
    if sys.platform != "linux" or not found:
        parser.error("this needs Linux, and CPython with ensurepip")
    with tempfile.TemporaryDirectory(prefix="wheels-") as name:
        return work(Path(name).resolve(), options.out, found, options.once)


def work(folder: Path, out: Path, found: dict[str, Path], once: bool) -> int:
    report = Report()
    report.say("tools")
    newest = list(found.values())[-1]
    tools = make_tools(newest, folder / "tools")
    report.say(f"build for CPython {', '.join(found)}")
    built = build_all(tools, found, folder / "first", epoch := moment())
    for path in built:
        report.note(path, "KiB", f"{path.stat().st_size / 1024:,.0f}")
    if not once:
        report.say("build again, elsewhere")
        compare(report, built, build_all(tools, found, folder / "elsewhere" / "second", epoch))
    report.say("contents")
    run(tools / "python", "-m", "twine", "check", "--strict", *built)
    folders = [folder, ROOT, Path.home(), *(python.resolve().parents[1] for python in found.values())]
    for path in built:
        if path.suffix == ".whl":
            report.note(path, "contents", "right")
            for fault in faults(path, folders):
                report.fail(path, "contents", fault)
    for path, python in built.items():
        report.say(f"try {path.name}")
        try:
            report.note(path, "without a compiler", try_one(path, python or newest, folder / f"try-{path.name}"))
        except Failed as error:
            report.fail(path, "without a compiler", str(error))
    out.mkdir(parents=True, exist_ok=True)
    for path in built:
        shutil.copy(path, out / path.name)
    report.say(f"done, in {out}")
    print(*report.table(), sep="\n")
    return int(report.failed)


def compare(report: Report, first: Iterable[Path], second: Iterable[Path]) -> None:
    """Report distributions whose two builds differ."""
    again = {path.name: digest(path) for path in second}
    for path in first:
        report.note(path, "built twice", f"same, {digest(path)[:12]}")
        if again.get(path.name) != digest(path):
            report.fail(path, "built twice", "the second build has other bytes")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def try_one(path: Path, python: Path, folder: Path) -> str:
    """Install one distribution into a new environment and test it; return a summary. Raises Failed."""
    environment = Environment(python, folder)
    if path.suffix == ".whl":
        environment.install("-q", "--only-binary", ":all:", path)
        return environment.try_form("interpreted" if path.name.endswith("-none-any.whl") else "compiled")
    try:
        environment.install(path, PRONGHORN_BUILD="required")
    except Failed:
        pass
    else:
        raise Failed("PRONGHORN_BUILD=required did not fail without a compiler")
    if BANNER not in environment.install("-v", path):
        raise Failed("pip printed no warning that the compiled form was not built")
    return environment.try_form("interpreted") + "; required: refused"


if __name__ == "__main__":
    sys.exit(main())
