"""A soak: a storm for an hour, beside a steady load, in which the memory of the server may not grow.

`python -m tests.soak` runs it at full length, test_soak.py for a few seconds.
"""
