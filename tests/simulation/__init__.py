"""Deterministic simulation: a seed decides one whole life of a server, its clients, its applications and the network.

The server, its protocols, asyncio's transports and the kernel's sockets are real; time and the network between the
sockets are simulated. `python -m tests.simulation` runs many seeds, test_simulation.py a few.
"""
