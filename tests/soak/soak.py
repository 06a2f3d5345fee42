"""A soak from start to end: a storm, the load beside it, and samples of what the server holds."""

from __future__ import annotations

import contextlib
import math
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.soak.load import Load, Round, mean_processor
from tests.storm.harness import Asker, Report, Storm, weather

if TYPE_CHECKING:
    from tests.support.certificates import Certificates
    from tests.support.server import Process

MIB = 1 << 20
# Seconds in which the load finds out, at most.
CALIBRATION = 10.0
# Samples that tell growth from chance.
ENOUGH = 16
# Growth of all processes from the second quarter to the last that is no fault: of memory in bytes, and of the number of
# Python's blocks of memory.
MOST_GROWTH = 8 * MIB
MOST_BLOCKS = 5_000
# The standard error of a median is larger than that of a mean by this factor.
MEDIAN = 1.25
# Growth of up to so many standard errors may be chance.
CHANCE = 3


@dataclass
class Sample:
    """Memory in bytes, and blocks of Python's memory, of all processes."""

    memory: int
    blocks: int


@dataclass
class Soak:
    """The results of a storm with a load beside it. In the rounds of `calibration`, the server got all requests that it
    could answer.
    """

    storm: Storm
    load: float
    round_seconds: float
    calibration: list[Round] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    report: Report = field(default_factory=Report)

    def run(self, certificates: Certificates) -> None:
        """Raises AssertionError or TimeoutError if the server does not start."""
        self.report = weather(self.storm, certificates, self._companion)
        self.judge()

    def judge(self) -> None:
        """Report what the rounds and the samples show."""
        faults = self.report.faults
        if self.failures:
            faults.append(f"load: {self.failures} requests failed")
        if not self.rounds:
            faults.append("load: no round was completed")
        if unanswered := sum(not each.answered for each in self.calibration + self.rounds):
            faults.append(f"load: no request was answered in some rounds: {unanswered}")
        if not self.has_enough_samples:
            self.report.figures.append(f"soak: {len(self.samples)} samples are too few to judge growth by")
            return
        for name, most in (("memory", MOST_GROWTH), ("blocks", MOST_BLOCKS)):
            grown = self.growth(name)
            if grown > max(most, self.chance(name)):
                faults.append(f"soak: {name} grew by {grown:,.0f} from the second quarter to the last")

    @property
    def most(self) -> float:
        """The share of a processor that the server took when it got all requests that it could answer."""
        return mean_processor(self.calibration)

    @property
    def failures(self) -> int:
        """Of the load's requests."""
        return sum(each.failures for each in self.calibration + self.rounds)

    @property
    def has_enough_samples(self) -> bool:
        """True if growth is judged."""
        return len(self.samples) >= ENOUGH

    def middle(self, name: str, quarter: int) -> float:
        """The median of a field of the samples in a quarter of the time: 0 to 3."""
        values = self._values(name, quarter)
        return statistics.median(values) if values else 0.0

    def growth(self, name: str) -> float:
        """The change of a field of the samples from the second quarter to the last: caches fill in the first."""
        return self.middle(name, 3) - self.middle(name, 1)

    def chance(self, name: str) -> float:
        """The growth of a field that its changes from sample to sample may explain."""
        parts = [self._values(name, quarter) for quarter in (1, 3)]
        return CHANCE * MEDIAN * math.sqrt(sum(statistics.pvariance(part) / len(part) for part in parts))

    def _values(self, name: str, quarter: int) -> list[int]:
        count = len(self.samples)
        part = self.samples[count * quarter // 4 : count * (quarter + 1) // 4]
        return [getattr(each, name) for each in part]

    @contextlib.contextmanager
    def _companion(self, server: Process, asker: Asker, report: Report) -> Iterator[None]:
        over = threading.Event()
        scheme = "https" if self.storm.tls != "none" else "http"
        load = Load(f"{scheme}://127.0.0.1:{server.port}", asker.ask())
        thread = threading.Thread(target=self._accompany, args=(load, asker, over, report))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _accompany(self, load: Load, asker: Asker, over: threading.Event, report: Report) -> None:
        try:
            self.calibration = load.calibrate(self.load, min(CALIBRATION, self.round_seconds))
            report.figures.append(f"load: {self.most:.0%} of a processor at most")
            while not over.is_set():
                self.rounds.append(load.run(self.round_seconds))
                report.figures.append(f"load: {self.rounds[-1]}")
                self.samples.append(self._sample(asker))
        except Exception as error:
            report.faults.append(f"load: {error!r}")

    def _sample(self, asker: Asker) -> Sample:
        states = asker.ask().values()
        return Sample(
            sum(each["memory"] for each in states),
            sum(each["blocks"] for each in states),
        )
