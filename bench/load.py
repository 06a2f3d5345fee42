"""wrk: run it on a core of its own, and read the line that lua/report.lua prints."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent / "lua"
ERRORS = ("connect", "read", "write", "timeout", "status")


class LoadFailed(Exception):
    """wrk did not run to its end, or printed something else."""


@dataclass(frozen=True)
class Load:
    """What wrk saw. `errors` holds only the kinds that happened; `status` counts answers of 400 and above."""

    requests: int
    seconds: float
    bytes: int
    p50_us: int
    p99_us: int
    errors: dict[str, int]

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def run(url: str, script: str, connections: int, seconds: int, core: int) -> Load:
    """Load `url` for whole `seconds`. Raises LoadFailed."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script, url]
    try:
        done = subprocess.run(
            command,
            cwd=SCRIPTS,
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"wrk did not end within {seconds + 30} s") from None
    if done.returncode:
        raise LoadFailed(f"wrk exited with status {done.returncode}: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(output: str) -> Load:
    """Read wrk's output. Raises LoadFailed when the line of lua/report.lua is missing."""
    line = re.search(r"^bench (.+)$", output, re.MULTILINE)
    if not line:
        raise LoadFailed(f"no report in the output of wrk:\n{output.strip()}")
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line[1])}
    return Load(
        requests=numbers["requests"],
        seconds=numbers["microseconds"] / 1e6,
        bytes=numbers["bytes"],
        p50_us=numbers["p50"],
        p99_us=numbers["p99"],
        errors={kind: numbers[kind] for kind in ERRORS if numbers[kind]},
    )
