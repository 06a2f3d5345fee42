"""All that can be measured, by name, in the order of the result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pronghorn.bench import compare
from pronghorn.bench.outcome import Outcome
from pronghorn.bench.session import Session

from . import latency, rest, startup, sweep
from .scenarios import PACES, SCENARIOS, SWEEPS


class Measurement(NamedTuple):
    """What measures, and about how many seconds that takes."""

    measure: Callable[[Session], Outcome]
    seconds: Callable[[Session], float]


MEASUREMENTS: dict[str, Measurement] = {
    **{each.name: Measurement(partial(compare.measure, each), partial(compare.seconds, each)) for each in SCENARIOS},
    **{each.name: Measurement(partial(sweep.measure, each), partial(sweep.seconds, each)) for each in SWEEPS},
    **{
        each.scenario.name: Measurement(partial(latency.measure, each), partial(latency.seconds, each))
        for each in PACES
    },
    "memory": Measurement(rest.measure_start, rest.start_seconds),
    **{
        each.name: Measurement(partial(rest.measure_idle, each), partial(rest.idle_seconds, each))
        for each in rest.CROWDS
    },
    "startup": Measurement(startup.measure, startup.seconds),
}
