"""A steady load by h2load, as a share of the load that the server can bear."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 10
# At once on a connection of HTTP/2.
STREAMS = 4
PATHS = ("/content?token=soak&size=100", "/content?token=soak&size=10000", "/stream?token=soak&size=40000")
# The rate changes by this factor at most from one round to the next.
_STEP = 1.3
# Requests without an answer or with an error for an answer.
_FAILED = re.compile(r"requests: .* (\d+) failed,")
_ANSWERED = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Round:
    """One run of h2load: requests that were answered with 200, those that failed or were redirected, and the share of
    one processor that the server took meanwhile, for other clients too.
    """

    answered: int
    failures: int
    processor: float


def mean_processor(rounds: Sequence[Round]) -> float:
    """The mean share of a processor that the server took in `rounds`, 0 without any."""
    return statistics.fmean(each.processor for each in rounds) if rounds else 0.0


class Load:
    """Runs h2load against the processes `pids` of a server at `url`, in rounds: with HTTP/1.1 and HTTP/2 in turn."""

    def __init__(self, url: str, pids: Iterable[int]) -> None:
        self._url = url
        self._pids = list(pids)
        self._rounds = 0
        # Requests a second for each version of HTTP, as their requests do not cost the same.
        self._rates = {"h1": 0.0, "h2": 0.0}
        self._wanted = 0.0

    def calibrate(self, share: float, seconds: float) -> list[Round]:
        """Send as fast as the server answers, in a round with each version of HTTP. From then on, `run` lets it take
        `share` of the processor time that it takes now. Raises CalledProcessError.
        """
        rounds = {version: self._run(version, seconds, None) for version in self._rates}
        self._rates = {version: share * each.answered / seconds for version, each in rounds.items()}
        self._wanted = share * mean_processor(list(rounds.values()))
        return list(rounds.values())

    def run(self, seconds: float) -> Round:
        """One round at the rate that keeps the share. Raises CalledProcessError."""
        version = ("h1", "h2")[self._rounds % 2]
        self._rounds += 1
        done = self._run(version, seconds, self._rates[version])
        change = min(_STEP, max(1 / _STEP, self._wanted / max(done.processor, 0.01)))
        self._rates[version] = max(CONNECTIONS, self._rates[version] * change)
        return done

    def _run(self, version: str, seconds: float, rate: float | None) -> Round:
        command = ["h2load", "-c", str(CONNECTIONS), "-D", f"{seconds:.0f}"]
        command += ["--h1"] if version == "h1" else ["-m", str(STREAMS)]
        if rate is not None:
            command += ["--rps", f"{rate / CONNECTIONS:.1f}"]
        before, began = processor_time(self._pids), time.monotonic()
        run = subprocess.run(
            [*command, *(self._url + path for path in PATHS)],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=True,
        )
        processor = (processor_time(self._pids) - before) / (time.monotonic() - began)
        answered, failed = _ANSWERED.search(run.stdout), _FAILED.search(run.stdout)
        assert answered is not None, run.stdout
        assert failed is not None, run.stdout
        return Round(int(answered[1]), int(failed[1]) + int(answered[2]), processor)


def processor_time(pids: Iterable[int]) -> float:
    """The seconds of processor time that the processes have taken."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS
