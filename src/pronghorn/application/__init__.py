"""Applications: found by name, adapted to ASGI 3, and called."""
