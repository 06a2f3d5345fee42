"""h2spec, a conformance suite for HTTP/2, against this server."""
