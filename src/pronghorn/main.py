"""The command, `run`, and the names that uvicorn's module of this name has."""

import sys
from types import ModuleType
from typing import Any

from pronghorn.cli import main as main
from pronghorn.config import HTTP_PROTOCOLS as HTTP_PROTOCOLS
from pronghorn.config import INTERFACES as INTERFACES
from pronghorn.config import LIFESPAN as LIFESPAN
from pronghorn.config import LOG_LEVELS as LOG_LEVELS
from pronghorn.config import LOGGING_CONFIG as LOGGING_CONFIG
from pronghorn.config import LOOP_FACTORIES as LOOP_FACTORIES
from pronghorn.config import SSL_PROTOCOL_VERSION as SSL_PROTOCOL_VERSION
from pronghorn.config import STARTUP_FAILURE as STARTUP_FAILURE
from pronghorn.config import WS_PROTOCOLS as WS_PROTOCOLS
from pronghorn.config import Config as Config
from pronghorn.config import HTTPProtocolType as HTTPProtocolType
from pronghorn.config import InterfaceType as InterfaceType
from pronghorn.config import LifespanType as LifespanType
from pronghorn.config import LoopFactoryType as LoopFactoryType
from pronghorn.config import WSProtocolType as WSProtocolType
from pronghorn.config import logger as logger
from pronghorn.launcher import run as run
from pronghorn.server import Server as Server
from pronghorn.supervisors import ChangeReload as ChangeReload
from pronghorn.supervisors import Multiprocess as Multiprocess


class _Package(ModuleType):
    """The package. Its `main` stays the command, although importing this module would replace it."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, main if name == "main" else value)


sys.modules["pronghorn"].__class__ = _Package
