"""Benchmarks of pronghorn beside its peers: `python -m bench`."""
