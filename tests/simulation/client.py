"""The part that all simulated clients share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.network import Link


class Client:
    """One client of `life`, at the other end of `link`, whose random numbers are its own."""

    def __init__(self, life: Life, link: Link) -> None:
        self.life = life
        self.link = link
        self.rng = link.rng
