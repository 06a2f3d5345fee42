"""Places to listen on, sockets, and TLS."""
