"""Runs the users of `locustfile.py` against servers that serve `shop.py`: `python -m bench.users --help`."""
