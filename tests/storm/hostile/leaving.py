"""Ways to leave."""

from __future__ import annotations

import random

from tests.storm.link import Link


def leave(link: Link, rng: random.Random) -> None:
    """At once, in one of the ways that there are: what was written last may be read together with the end."""
    rng.choice([link.reset, link.drop, link.close])()
