"""The lifespan for a configuration."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pronghorn.application.lifespan import Lifespan
from pronghorn.errors import StartupError
from pronghorn.logging import log

if TYPE_CHECKING:
    from pronghorn.config import Config


class LifespanOn(Lifespan):
    """A lifespan whose `startup` logs its failure instead of raising it; `should_exit` is then true."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.logger = logging.getLogger("pronghorn.error")
        super().__init__(config.loaded_app, config.lifespan or "auto", self.logger)

    async def startup(self) -> None:
        try:
            await super().startup()
        except StartupError as error:
            log.report(error)
