"""Metrics: the counters of a server, the pages where its processes keep them, the listener that shows them."""
