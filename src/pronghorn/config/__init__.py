"""The configuration of a server. `pronghorn.config` has every name that `uvicorn.config` has."""

from typing import Any

from pronghorn.config.config import HTTP_PROTOCOLS as HTTP_PROTOCOLS
from pronghorn.config.config import IMPORTABLE as IMPORTABLE
from pronghorn.config.config import INTERFACES as INTERFACES
from pronghorn.config.config import LIFESPAN as LIFESPAN
from pronghorn.config.config import LOG_LEVELS as LOG_LEVELS
from pronghorn.config.config import LOGGING_CONFIG as LOGGING_CONFIG
from pronghorn.config.config import LOOP_FACTORIES as LOOP_FACTORIES
from pronghorn.config.config import SERVER as SERVER
from pronghorn.config.config import SSL_PROTOCOL_VERSION as SSL_PROTOCOL_VERSION
from pronghorn.config.config import STARTUP_FAILURE as STARTUP_FAILURE
from pronghorn.config.config import TRACE_LOG_LEVEL as TRACE_LOG_LEVEL
from pronghorn.config.config import WS_PROTOCOLS as WS_PROTOCOLS
from pronghorn.config.config import CancelOnDisconnect as CancelOnDisconnect
from pronghorn.config.config import Config as Config
from pronghorn.config.config import ConfigError as ConfigError
from pronghorn.config.config import ForwardedHeaders as ForwardedHeaders
from pronghorn.config.config import HTTPProtocolType as HTTPProtocolType
from pronghorn.config.config import InterfaceType as InterfaceType
from pronghorn.config.config import LifespanType as LifespanType
from pronghorn.config.config import LoopFactoryType as LoopFactoryType
from pronghorn.config.config import Path as Path
from pronghorn.config.config import UnderscoredHeaders as UnderscoredHeaders
from pronghorn.config.config import WSProtocolType as WSProtocolType
from pronghorn.config.config import logger as logger
from pronghorn.config.config import parameters as parameters


def __getattr__(name: str) -> Any:
    if name != "create_ssl_context":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pronghorn.listen import tls_context  # slow to import, and seldom needed

    return tls_context.create_ssl_context
