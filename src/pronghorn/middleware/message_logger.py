"""The logger of an application's messages."""

from pronghorn.adapters import MessageLogger as MessageLoggerMiddleware

__all__ = ["MessageLoggerMiddleware"]
