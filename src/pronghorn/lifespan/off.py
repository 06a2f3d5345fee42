"""The lifespan for a configuration with `lifespan="off"`."""

from __future__ import annotations

from pronghorn.lifespan.on import LifespanOn


class LifespanOff(LifespanOn):
    """Sends the application no messages."""

    async def startup(self) -> None:
        pass
