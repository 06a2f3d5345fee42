"""The adapter for WSGI applications, under uvicorn's name."""

from a2wsgi import WSGIMiddleware as WSGIMiddleware
