"""`pronghorn top`: a live view of a running server, from its metrics listener."""
