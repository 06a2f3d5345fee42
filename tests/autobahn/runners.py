"""Two programs that drive the cases: the original, and kosoku.

Both run Autobahn|Testsuite's own case files and write its reports. The original, `wstest`, needs CPython 2.7 and runs
one case at a time; kosoku is a compiled client from the package of that name. Each runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

REQUIREMENT = "autobahntestsuite==25.10.1"
BUILD = Path(__file__).parents[2] / "build" / "autobahn"

# kosoku stumbles over short texts that come back uncompressed where both agreed on compression.
BEYOND_KOSOKU = (*(f"12.{data}.1" for data in range(1, 6)), *(f"13.{parameters}.1" for parameters in range(1, 8)))


class Unavailable(Exception):
    """The runner cannot be had here."""


def run_original(url: str, reports: Path, cases: Sequence[str] = (), excluded: Sequence[str] = ()) -> None:
    """Run the cases that match the patterns, or all; `wstest` is installed first if need be."""
    python = find_python2()
    if python is None:
        raise Unavailable("the original needs CPython 2.7 with pip")
    base = BUILD / "python2.7"
    environment = {**os.environ, "PYTHONUSERBASE": str(base)}
    if not (base / "bin" / "wstest").exists():
        install = [python, "-m", "pip", "install", "--user", "--no-warn-script-location", REQUIREMENT]
        subprocess.run(install, env=environment, check=True, stdout=subprocess.DEVNULL)
    specification = reports / "specification.json"
    specification.write_text(
        json.dumps(
            {
                "outdir": str(reports),
                "servers": [{"agent": "server", "url": url}],
                "cases": list(cases) or ["*"],
                "exclude-cases": list(excluded),
                "exclude-agent-cases": {},
            }
        )
    )
    wstest = [python, "-m", "autobahntestsuite.wstest", "--mode=fuzzingclient", f"--spec={specification}"]
    _run(wstest, reports, environment)


def find_python2() -> str | None:
    """CPython 2.7 with pip, on the PATH or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which("python2.7"), *map(str, sorted(pyenv.glob("versions/2.7.*/bin/python2.7")))]
    for python in filter(None, found):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return python
    return None


def run_kosoku(
    url: str,
    reports: Path,
    cases: Sequence[str] = (),
    excluded: Sequence[str] = (),
    at_once: int = 1,
    timeout: float | None = None,
) -> None:
    """Run the cases that match the patterns, or all, but those beyond it, `at_once` side by side."""
    program = find_kosoku()
    if program is None:
        raise Unavailable("kosoku is not installed")
    patterns = [f"--include={pattern}" for pattern in cases]
    patterns += [f"--exclude={pattern}" for pattern in (*excluded, *BEYOND_KOSOKU)]
    # Its return code is 1 when a case failed, which the reports tell better.
    _run([program, url, f"--outdir={reports}", f"--parallelism={at_once}", *patterns], reports, None, timeout)


def find_kosoku() -> str | None:
    return shutil.which("kosoku", path=sysconfig.get_path("scripts"))


def _run(
    command: Sequence[str], reports: Path, environment: Mapping[str, str] | None, timeout: float | None = None
) -> None:
    """Run `command`, its output into a log beside the reports. Raises RuntimeError if there are none."""
    log = reports / "log.txt"
    with log.open("w") as output:
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, timeout=timeout)
    if not (reports / "index.json").exists():
        raise RuntimeError(f"{command[0]} left no report:\n{log.read_text()}")
