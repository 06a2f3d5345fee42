"""Logging. `pronghorn.logging` has every name that `uvicorn.logging` has."""

from pronghorn.logging.formatters import TRACE_LOG_LEVEL as TRACE_LOG_LEVEL
from pronghorn.logging.formatters import AccessFormatter as AccessFormatter
from pronghorn.logging.formatters import Colour as Colour
from pronghorn.logging.formatters import ColourizedFormatter as ColourizedFormatter
from pronghorn.logging.formatters import DefaultFormatter as DefaultFormatter
from pronghorn.logging.formatters import JSONFormatter as JSONFormatter
from pronghorn.logging.formatters import LineHandler as LineHandler
from pronghorn.logging.formatters import bold as bold
