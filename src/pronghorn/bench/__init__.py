"""Measures servers side by side: the engine of `python -m bench` in the repository."""
