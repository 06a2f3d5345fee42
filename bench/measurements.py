"""All measurements, by name, in the order of the result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pronghorn.bench import compare
from pronghorn.bench.session import Session

from .memory import MEMORY
from .outcome import Outcome, measure
from .scenarios import PACES, SCENARIOS, SWEEPS
from .startup import STARTUP


class Measurement(NamedTuple):
    """A function that measures, and one that returns the approximate seconds that it takes."""

    measure: Callable[[Session], Outcome]
    seconds: Callable[[Session], float]


MEASUREMENTS: dict[str, Measurement] = {
    **{each.name: Measurement(partial(measure, each), partial(compare.seconds, each)) for each in SCENARIOS},
    **{each.name: Measurement(each.measure, each.seconds) for each in (*SWEEPS, *PACES, *MEMORY, STARTUP)},
}
