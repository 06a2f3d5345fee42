"""The adapter for ASGI 2 applications, under uvicorn's name."""

from pronghorn.application.interfaces import ASGI2Adapter as ASGI2Middleware

__all__ = ["ASGI2Middleware"]
