"""A short storm in each variant. `python -m tests.storm` runs the full length."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.storm.harness import Storm, lacks_for_storms, weather
from tests.support.server import lacks

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

pytestmark = pytest.mark.skipif(lacks_for_storms() is not None, reason=str(lacks_for_storms()))

SECONDS = 4.0
SEED = 9

STORMS = {
    "asyncio": Storm(loop="asyncio"),
    "uvloop": Storm(loop="uvloop"),
    "asyncio-ssl": Storm(loop="asyncio", tls="ssl"),
    "uvloop-ssl": Storm(loop="uvloop", tls="ssl"),
    "asyncio-aiofastnet": Storm(loop="asyncio", tls="aiofastnet"),
    "uvloop-aiofastnet": Storm(loop="uvloop", tls="aiofastnet"),
    "interpreted": Storm(form="interpreted"),
    "filter": Storm(filter=True),
    "workers": Storm(workers=2),
}


@pytest.mark.parametrize("name", STORMS)
def test_server_survives_storm(name: str, certificates: Certificates) -> None:
    storm = replace(STORMS[name], seconds=SECONDS, seed=SEED)
    if reason := lacks(storm.form, storm.loop):
        pytest.skip(reason)
    if storm.tls == "aiofastnet" and find_spec("aiofastnet") is None:
        pytest.skip("aiofastnet is not installed")
    report = weather(storm, certificates)
    assert not report.faults, "\n".join([str(storm), *report.figures, *report.faults])
