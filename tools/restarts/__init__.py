"""Servers that are stopped and replaced under load, and clients that count what becomes of each request."""
