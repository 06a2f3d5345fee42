"""A storm: clients that misbehave in every way known, honest ones beside them, and what is left of the server.

`python -m tests.storm` runs it at full length, test_storm.py for a few seconds in each variant.
"""
