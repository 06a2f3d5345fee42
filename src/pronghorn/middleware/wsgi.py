"""The adapter of WSGI applications."""

from a2wsgi import WSGIMiddleware as WSGIMiddleware
