"""One server in one event loop. `pronghorn.server` has every name that `uvicorn.server` has."""

from pronghorn.config import Config as Config
from pronghorn.server.server import HANDLED_SIGNALS as HANDLED_SIGNALS
from pronghorn.server.server import STARTUP_FAILURE as STARTUP_FAILURE
from pronghorn.server.server import Server as Server
from pronghorn.server.server import logger as logger
from pronghorn.server.state import ServerState as ServerState
