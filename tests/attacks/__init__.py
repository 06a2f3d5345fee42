"""Hostile clients against a live server, beside an honest one."""
