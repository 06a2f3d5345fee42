"""A few lives with the tests. A seed that fails here is replayed by `python -m tests.simulation --seed N --verbose`."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.support.forms import load_form

if sys.platform != "linux":
    pytest.skip("the simulated network needs Linux", allow_module_level=True)

from tests.simulation.campaign import live

SECONDS = 8

# Prints the traces of lives.
_DIGESTS = "from tests.simulation.campaign import live\nfor seed in {seeds}: print(live(seed).digest())"


# Prints the modules that keep a clock of a life after it has ended.
_CLOCKS = """
import sys
from tests.simulation.campaign import live
from tests.simulation.loop import Clock
live(0)
for name, module in sorted(sys.modules.items()):
    for value in vars(module).values():
        if isinstance(getattr(value, "__self__", None), Clock): print(name)
"""


def run(code: str, **environment: str) -> list[str]:
    """The words that `code` prints in another process."""
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def digests(seeds: list[int], **environment: str) -> list[str]:
    """The traces of lives in another process."""
    return run(_DIGESTS.format(seeds=seeds), **environment)


def test_lives_keep_every_invariant() -> None:
    end = time.perf_counter() + SECONDS
    seed = 0
    while time.perf_counter() < end or seed < 20:
        life = live(seed)
        assert life.failures == [], f"python -m tests.simulation --seed {seed} --verbose"
        seed += 1


def test_one_seed_is_one_trace() -> None:
    seeds = list(range(20))
    traces = [live(seed).digest() for seed in seeds]
    assert traces == [live(seed).digest() for seed in seeds]
    assert len(set(traces)) == len(seeds)


def test_trace_does_not_depend_on_the_process() -> None:
    seeds = list(range(20, 30))
    here = [live(seed).digest() for seed in seeds]
    for hashing in ("1", "2"):
        assert digests(seeds, PYTHONHASHSEED=hashing) == here


def test_both_forms_live_the_same_lives() -> None:
    load_form("compiled")
    seeds = list(range(30, 40))
    assert digests(seeds, PRONGHORN_PURE="1") == digests(seeds, PRONGHORN_PURE="")


@pytest.mark.parametrize("pure", ["", "1"])
def test_virtual_clock_is_gone_after_a_life(pure: str) -> None:
    assert run(_CLOCKS, PRONGHORN_PURE=pure) == []
