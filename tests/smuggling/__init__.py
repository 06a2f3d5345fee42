"""Requests that two servers could read differently, through real front ends."""
