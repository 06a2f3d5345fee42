"""The samples of a server that may go away and come back."""

from __future__ import annotations

import time
from typing import NamedTuple

from pronghorn.listen.places import Place
from pronghorn.top import samples
from pronghorn.top.figures import Change
from pronghorn.top.samples import NoAnswer


class View(NamedTuple):
    """The latest figures, if there are any. While the server does not answer: the reason, and since when."""

    change: Change | None = None
    failure: str = ""
    silent_since: float = 0


def look(place: Place, last: View) -> View:
    """The view that follows `last`, from a new sample."""
    try:
        sample = samples.take(place)
    except NoAnswer as error:
        return View(last.change, str(error), last.silent_since if last.failure else time.monotonic())
    # After a silence, rates begin anew: an interval of unknown events is none to average over.
    before = None if last.failure or last.change is None else last.change.after
    return View(Change(before, sample))
