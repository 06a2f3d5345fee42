"""A storm: clients that misbehave in every known way, honest clients beside them, and a check for leaks.

`python -m tests.storm` runs it at full length, test_storm.py for a few seconds per variant.
"""
