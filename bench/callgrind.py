"""callgrind: the command that counts, and the counts that it writes."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class CountFailed(Exception):
    """Nothing was counted; the text says why."""


def counting(output: Path, *arguments: str) -> list[str]:
    """The command to run this interpreter with `arguments`, its counts between marks written to `output`.

    Raises CountFailed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CountFailed("valgrind is not installed")
    options = (f"--callgrind-out-file={output}", "--dump-before=getpgid", "--combine-dumps=yes")
    return [valgrind, "--tool=callgrind", *options, sys.executable, *arguments]


def environment() -> dict[str, str]:
    """The environment for the command: the hashes are those of every run."""
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**inherited, "PYTHONHASHSEED": "0"}


def parse(output: str, names: Sequence[str], requests: int) -> dict[str, int]:
    """The instructions for each of `requests` in what callgrind wrote, by scenario: the counts are one before the first
    mark, then those between marks and those around them in turn. Raises CountFailed.
    """
    totals = [int(total) for total in re.findall(r"^totals: (\d+)$", output, re.MULTILINE)]
    if len(totals) != 2 * len(names) + 1:
        raise CountFailed(f"callgrind wrote {len(totals)} counts for {len(names)} scenarios")
    return {name: round(total / requests) for name, total in zip(names, totals[1::2], strict=True)}
