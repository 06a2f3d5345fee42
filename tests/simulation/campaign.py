"""Many lives, in several processes."""

from __future__ import annotations

import gc
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulation.life import Life
from tests.simulation.loop import EPOCH

# Seeds that one process gets at a time.
BATCH = 50


@dataclass
class Tally:
    """The sum over many lives. `failed` has the first failure of each seed that failed; `seconds` are virtual."""

    seeds: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        self.seeds += other.seeds
        self.seconds += other.seconds
        self.counts += other.counts
        self.faults += other.faults
        self.failed |= other.failed


def live(seed: int) -> Life:
    """Live the life of `seed`. An exception of the simulation itself is a failure too."""
    life = Life(seed)
    try:
        life.run()
    except Exception as error:
        life.fail(f"the simulation raised {error!r}")
    return life


def batch(seeds: range) -> Tally:
    tally = Tally()
    for seed in seeds:
        life = live(seed)
        tally.seeds += 1
        tally.seconds += life.now() - EPOCH
        tally.counts += life.counts
        tally.faults += life.network.faults
        if life.failures:
            tally.failed[seed] = life.failures[0]
    return tally


def campaign(first: int, number: int, jobs: int) -> Iterator[Tally]:
    """Live `number` lives from seed `first`; the tallies of their batches, in order."""
    batches = [range(at, min(at + BATCH, first + number)) for at in range(first, first + number, BATCH)]
    if jobs == 1:
        _prepare()
        yield from map(batch, batches)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, _prepare) as pool:
        yield from pool.imap(batch, batches)


def _prepare() -> None:
    """Import everything, then keep it from the garbage collector, which each life runs once."""
    for seed in range(5):
        live(seed)
    gc.disable()
    gc.collect()
    gc.freeze()
