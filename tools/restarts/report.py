"""The tables of outcomes: on standard output with every column, in `results.md` with those that `--all` varies."""

from __future__ import annotations

import platform
import shlex
import statistics
import sys
import textwrap
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TextIO

from pronghorn import __version__, backend
from tools.restarts.changes import STOP
from tools.restarts.clients import Tally
from tools.restarts.trial import CHANGES, Setup

RESULTS = Path(__file__).with_name("results.md")

_WIDTH = 120

_SETUP = ("change", "processes", "place", "way", "client")
_OUTCOME = ("times", "requests", "failed", "resent", "refused", "median s", "longest s")

_EXPLANATION = (
    "`failed` counts the requests that had no complete answer: only a worker that is killed may cause that. `resent`"
    " are those that the protocol declares unprocessed, `refused` the connections that were refused. Seconds last from"
    " the beginning of a change until the log shows that it is complete. There are more requests than asked for where"
    " the changes took longer."
)

_PROCESSES = {"one": "1", "workers": "2"}
_CLIENTS = {"http1": "HTTP/1.1", "http2": "HTTP/2", "websocket": "WebSocket"}


class Table:
    """Prints a row for each setup; also into `file`, if given, which begins with the versions and the command."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        print(_line(_SETUP + _OUTCOME))
        print(_rule(len(_SETUP), len(_OUTCOME)), flush=True)
        if file is not None:
            command = shlex.join(["python", "-m", "tools.restarts", *sys.argv[1:]])
            paragraphs = [f"{_versions()}:", f"    {command}", _EXPLANATION]
            wrapped = [textwrap.fill(text, _WIDTH) if text[0] != " " else text for text in paragraphs]
            text = "\n\n".join(["# Stops, changes and faults under load", *wrapped])
            header = _line(("what was done", "processes", "client", *_OUTCOME))
            file.write(f"{text}\n\n{header}\n{_rule(3, len(_OUTCOME))}\n")
            file.flush()

    def add(self, setup: Setup, times: int, tally: Tally) -> None:
        what = "another server takes its place" if setup.change == STOP else CHANGES[setup.change].what
        outcome = _outcome(times, tally)
        print(_line((what, setup.processes, setup.place, setup.way, setup.client, *outcome)), flush=True)
        if self._file is not None:
            self._file.write(_line((what, _PROCESSES[setup.processes], _CLIENTS[setup.client], *outcome)) + "\n")
            self._file.flush()  # all rows take hours


def _outcome(times: int, tally: Tally) -> tuple[str, ...]:
    answered, lost = tally.answered.total(), tally.lost.total()
    counts = (times, answered + lost, lost, tally.resent, tally.refused)
    seconds = (statistics.median(tally.seconds), max(tally.seconds)) if tally.seconds else ()
    return (*(f"{count:,}" for count in counts), *(f"{each:.1f}" for each in seconds or (0, 0)))


def _versions() -> str:
    form = "compiled" if backend.compiled_is_available() else "interpreted"
    parts = [f"{time.strftime('%Y-%m-%d')}, pronghorn {__version__}, {form}"]
    parts += [f"{platform.system()} {platform.release()} on {platform.machine()}"]
    parts += [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in ("uvloop", "h2", "websockets"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(texts: int, numbers: int) -> str:
    return _line(("---",) * texts + ("--:",) * numbers)
