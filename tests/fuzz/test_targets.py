"""Every input of the corpus of fuzzing, and the command itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("httptools")
pytest.importorskip("hpack")
pytest.importorskip("websockets")

from fuzz import __main__ as command
from fuzz import corpus, targets
from fuzz.targets import TARGETS
from tests.support.oracles import llhttp


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_of_the_corpus_are_read_alike(target: str) -> None:
    inputs = corpus.read(target)
    assert inputs
    for each in [*corpus.seeds(target), *inputs]:
        TARGETS[target](each)


def test_every_reader_of_configuration_has_seeds() -> None:
    assert {each[0] for each in corpus.seeds("configuration")} == set(range(len(targets._steps())))


def test_difference_between_the_forms_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from pronghorn._wire.http2 import hpack

    monkeypatch.setattr(hpack, "MOST_SIZE_UPDATES", 3)
    with pytest.raises(AssertionError):
        TARGETS["hpack"](b"\x04\x20\x20\x20\x82")


@pytest.mark.parametrize("rest", [b"GET", b"ET", None])
def test_different_end_of_a_body_is_found(rest: bytes | None) -> None:
    data = b"3\r\nabc\r\n0\r\n\r\n\nGET"
    llhttp.check_body((b"abc", b"\nGET", ""), data)
    with pytest.raises(AssertionError):
        llhttp.check_body((b"abc", rest, ""), data)


PROGRESS = (
    "#2\tINITED cov: 7 ft: 7 corp: 1/1b\n#9\tNEW cov: 12 ft: 20 corp: 2/3b\n#99\tDONE cov: 12 ft: 20 corp: 2/3b\n"
)


@pytest.mark.parametrize(
    ("output", "status", "found"),
    [
        (PROGRESS, 0, "nothing"),
        (PROGRESS + "Test unit written to build/fuzz/hpack/crash-1\n", 77, "an input failed"),
        (PROGRESS, 1, "the run failed"),
        (PROGRESS, None, "the run did not end"),
    ],
)
def test_outcome_is_read_from_the_output(output: str, status: int | None, found: str) -> None:
    outcome = command.read_outcome("hpack", output, status)
    assert command.row(outcome) == f"| hpack | 99 | 9 | 12 | 2 | {found} |"


def test_run_without_instrumented_code_has_failed() -> None:
    assert command.read_outcome("hpack", "#2\tDONE ft: 0\n", 0).failure == "the run failed"


def test_new_inputs_are_tried_and_counted() -> None:
    pytest.importorskip("atheris")
    run = subprocess.run(
        [sys.executable, "-m", "fuzz", "hpack", "--seconds", "1"], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    target, tried, until_last_new, edges, kept, found = [cell.strip() for cell in run.stdout.strip("|\n").split("|")]
    assert (target, found) == ("hpack", "nothing")
    assert 0 < int(until_last_new.replace(",", "")) <= int(tried.replace(",", ""))
    assert int(tried.replace(",", "")) > 100
    assert int(edges.replace(",", "")) > 10
    assert int(kept) > 5
