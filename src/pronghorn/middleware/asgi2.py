"""The adapter of ASGI 2 applications."""

from pronghorn.adapters import ASGI2Adapter as ASGI2Middleware

__all__ = ["ASGI2Middleware"]
