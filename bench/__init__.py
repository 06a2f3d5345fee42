"""Benchmarks of pronghorn beside other servers: `python -m bench`."""
