"""Check a wheel: it has the right files, of limited size, and no trace of the machine that built it."""

from __future__ import annotations

import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
COMPILED = "pronghorn/_wire_c/"
# In bytes. Raise them deliberately, in the commit that needs more.
COMPILED_BUDGET = 2_700_000
PURE_BUDGET = 400_000
# Suffixes of generated files in the source folders.
MADE = {".c", ".pyc", ".pyd", ".so"}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}


def faults(wheel: Path, folders: Iterable[Path]) -> Iterator[str]:
    """Yield all faults of a wheel for Linux or for any system. No file may contain the path of one of `folders`."""
    compiled = not wheel.name.endswith("-none-any.whl")
    if wheel.stat().st_size > (budget := COMPILED_BUDGET if compiled else PURE_BUDGET):
        yield f"{wheel.stat().st_size:,} bytes are over the budget of {budget:,}"
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as unpacked:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        yield from _wrong_files(set(names), compiled)
        for name in names:
            content = archive.read(name)
            for folder in folders:
                if re.search(rb"(?<![\w.-])%b/" % re.escape(str(folder).encode()), content):
                    yield f"{name} names {folder}"
            if name.endswith(".so"):
                yield from (f"{name} {fault}" for fault in _binary_faults(Path(archive.extract(name, unpacked))))


def _wrong_files(names: set[str], compiled: bool) -> Iterator[str]:
    wanted = {
        path.relative_to(SOURCES).as_posix()
        for path in (SOURCES / "pronghorn").rglob("*")
        if path.is_file() and path.suffix not in MADE
    }
    wire = SOURCES / "pronghorn" / "_wire"
    modules = (
        {path.relative_to(wire).with_suffix("").as_posix() for path in wire.rglob("[!_]*.py")} if compiled else set()
    )
    found = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    binaries = {name for name in found if name.startswith(COMPILED) and name.endswith(".so")}
    yield from (f"lacks {name}" for name in sorted(wanted - found))
    yield from (f"should not have {name}" for name in sorted(found - wanted - binaries))
    for name in sorted(modules ^ {name.removeprefix(COMPILED).partition(".")[0] for name in binaries}):
        yield f"{'lacks' if name in modules else 'should not have'} the compiled {name}"
    metadata = {name.partition("/")[2] for name in names - found}
    yield from (f"lacks {name}" for name in sorted(METADATA - metadata))
    yield from (f"should not have {name}" for name in sorted(metadata - METADATA))


def _binary_faults(binary: Path) -> Iterator[str]:
    exported = [line.split()[-1] for line in _read("nm", "--dynamic", "--defined-only", str(binary)).splitlines()]
    if exported != [f"PyInit_{binary.name.partition('.')[0]}"]:
        yield f"exports {', '.join(exported) or 'nothing'}"
    described = _read("readelf", "--wide", "--sections", "--dynamic", str(binary))
    if ".debug_" in described:
        yield "has debugging information"
    if path := re.search(r"\((?:RPATH|RUNPATH)\)\s+(.*)", described):
        yield f"looks for libraries: {path[1]}"
    if needed := set(re.findall(r"\(NEEDED\)[^\[]*\[([^]]+)\]", described)) - {"libc.so.6", "libpthread.so.0"}:
        yield f"needs {', '.join(sorted(needed))}"


def _read(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
