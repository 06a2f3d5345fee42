"""Second names of the classes in `pronghorn.logging`, for logging configurations that use them."""

from pronghorn.logging.formatters import AccessFormatter as AccessFormatter
from pronghorn.logging.formatters import ColourizedFormatter as ColourizedFormatter
from pronghorn.logging.formatters import DefaultFormatter as DefaultFormatter
from pronghorn.logging.formatters import JSONFormatter as JSONFormatter
from pronghorn.logging.formatters import LineHandler as LineHandler
