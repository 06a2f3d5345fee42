"""Ways to disconnect."""

from __future__ import annotations

import random

from tests.storm.link import Link


def leave(link: Link, rng: random.Random) -> None:
    """Disconnect at once in a random way. The server may read the last bytes together with the end."""
    rng.choice([link.reset, link.drop, link.close])()
