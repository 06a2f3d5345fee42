"""The names of `pronghorn.log`, at the place where uvicorn has them."""

from pronghorn.log import TRACE_LOG_LEVEL as TRACE_LOG_LEVEL
from pronghorn.log import AccessFormatter as AccessFormatter
from pronghorn.log import ColourizedFormatter as ColourizedFormatter
from pronghorn.log import DefaultFormatter as DefaultFormatter
from pronghorn.log import JSONFormatter as JSONFormatter
