"""ASGI middleware, for applications that compose their own stack."""
