"""The lifespan of a configuration that wants none."""

from __future__ import annotations

from pronghorn.lifespan.on import LifespanOn


class LifespanOff(LifespanOn):
    """Tells the application nothing."""

    async def startup(self) -> None:
        pass
