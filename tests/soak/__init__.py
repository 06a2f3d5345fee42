"""A soak: a storm for an hour, beside a steady load.

The server's memory may not grow by more than 8 MiB or 5,000 of Python's blocks, except by chance.

`python -m tests.soak` runs it at full length, test_soak.py for a few seconds.
"""
