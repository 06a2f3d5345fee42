"""The middleware that logs ASGI messages, under uvicorn's name."""

from pronghorn.application.interfaces import MessageLogger as MessageLoggerMiddleware

__all__ = ["MessageLoggerMiddleware"]
