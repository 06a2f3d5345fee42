"""Every input of the corpus of fuzzing, and the command itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("httptools")
pytest.importorskip("hpack")
pytest.importorskip("websockets")

from fuzz import corpus
from fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_of_the_corpus_are_read_alike(target: str) -> None:
    for each in [*corpus.seeds(target), *corpus.read(target)]:
        TARGETS[target](each)


def test_difference_between_the_forms_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from pronghorn._wire.http2 import hpack

    monkeypatch.setattr(hpack, "MOST_SIZE_UPDATES", 3)
    with pytest.raises(AssertionError):
        TARGETS["hpack"](b"\x04\x20\x20\x20\x82")


def test_new_inputs_are_tried_and_counted() -> None:
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "fuzz", "hpack", "--seconds", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    target, tried, until_last_new, edges, kept, found = [cell.strip() for cell in run.stdout.strip("|\n").split("|")]
    assert (target, found) == ("hpack", "nothing")
    assert 0 < int(until_last_new.replace(",", "")) <= int(tried.replace(",", ""))
    assert int(tried.replace(",", "")) > 100
    assert int(edges.replace(",", "")) > 10
    assert int(kept) > 5
