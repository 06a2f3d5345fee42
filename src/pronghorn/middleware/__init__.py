"""ASGI middleware, for applications that build theirs by hand."""
