"""A soak of a few seconds."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.soak.soak import Sample, Soak
from tests.storm.harness import Storm, lacks_for_storms
from tests.support.server import lacks

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

pytestmark = pytest.mark.skipif(lacks_for_storms() is not None, reason=str(lacks_for_storms()))


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
def test_server_survives_soak(certificates: Certificates) -> None:
    if reason := lacks("compiled", "uvloop"):
        pytest.skip(reason)
    soak = Soak(Storm(loop="uvloop", seconds=6.0, seed=3, faults_only=True), load=0.7, round_seconds=1)
    soak.run(certificates)
    assert not soak.report.faults, "\n".join([*soak.report.figures, *soak.report.faults])
    assert soak.samples
    assert sum(each.answered for each in soak.rounds) > 0


def test_growth_is_from_the_second_quarter_to_the_last() -> None:
    soak = Soak(Storm(), load=0.7, round_seconds=1)
    soak.samples = [Sample(memory, 0) for memory in (1, 2, 10, 10, 11, 12, 14, 14)]
    assert soak.growth("memory") == 4


def test_chance_explains_less_growth_if_samples_differ_less() -> None:
    soak = Soak(Storm(), load=0.7, round_seconds=1)
    soak.samples = [Sample(10 + number % 2, 100 * (number % 2)) for number in range(16)]
    assert 0 < soak.chance("memory") < soak.chance("blocks")
