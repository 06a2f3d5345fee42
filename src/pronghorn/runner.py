"""`run`: from parameters to a server that has served, and the exit code of the process."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import ParamSpec

from pronghorn import log
from pronghorn.config import Config
from pronghorn.errors import StartupError

P = ParamSpec("P")


def _with_parameters_of(config_class: Callable[P, Config]) -> Callable[P, None]:
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        """Serve an application until a signal ends it. The parameters are those of `Config`.

        Exits with code 3, having logged why, when the server cannot start.
        """
        try:
            config = config_class(*args, **kwargs)
            config.load_app()  # before there is a loop, so that a module may use asyncio.run where it is imported

            from pronghorn.server import Server  # not for those who ask for help, or have mistyped

            server = Server(config)
            server.run()
        except KeyboardInterrupt:
            return
        except StartupError as error:
            log.report(error)
            sys.exit(error.code)
        if not server.started:
            sys.exit(StartupError.code)

    run.__signature__ = inspect.signature(config_class)  # type: ignore[attr-defined]
    return run


run = _with_parameters_of(Config)
