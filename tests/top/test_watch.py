"""A server that goes away and comes back."""

from __future__ import annotations

import pytest

pytest.importorskip("prometheus_client")

from pronghorn.listen.places import Place
from pronghorn.top import samples, watch
from pronghorn.top.figures import Change
from pronghorn.top.samples import NoAnswer, Sample
from pronghorn.top.watch import View, look
from tests.support.samples import sample

PLACE = Place("127.0.0.1", 9000)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Sample | NoAnswer]:
    """The answers of the server, in their order. The clock's time is the number of those that are left."""
    answers: list[Sample | NoAnswer] = []

    def take(place: Place) -> Sample:
        answer = answers.pop(0)
        if isinstance(answer, NoAnswer):
            raise answer
        return answer

    monkeypatch.setattr(samples, "take", take)
    monkeypatch.setattr(watch.time, "monotonic", lambda: len(answers))
    return answers


def rate(view: View) -> float | None:
    assert isinstance(view.change, Change)
    return view.change.rate("a")


def test_rates_begin_with_the_second_sample(answers: list[Sample | NoAnswer]) -> None:
    answers += [sample(0, {("a",): 1}), sample(1, {("a",): 4}), sample(2, {("a",): 5})]
    first = look(PLACE, View())
    second = look(PLACE, first)
    assert [rate(first), rate(second), rate(look(PLACE, second))] == [None, 3, 1]


def test_last_figures_stay_while_the_server_is_silent(answers: list[Sample | NoAnswer]) -> None:
    answers += [sample(0), NoAnswer("refused"), NoAnswer("timed out")]
    seen = look(PLACE, View())
    silent = look(PLACE, seen)
    assert silent == View(seen.change, "refused", 1)
    assert look(PLACE, silent) == View(seen.change, "timed out", 1)


def test_rates_begin_anew_after_a_silence(answers: list[Sample | NoAnswer]) -> None:
    answers += [sample(0, {("a",): 1}), NoAnswer("refused"), sample(2, {("a",): 9}), sample(3, {("a",): 11})]
    view = look(PLACE, look(PLACE, View()))
    view = look(PLACE, view)
    assert (view.failure, rate(view)) == ("", None)
    assert rate(look(PLACE, view)) == 2
