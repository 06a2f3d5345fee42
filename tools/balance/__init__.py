"""Measure how evenly a server's workers share its connections."""
