"""Hostile clients of HTTP/2 against a live server, beside an honest one."""
