"""HTTP/2 (RFC 9113): frames, header compression (RFC 7541), streams and the connection that carries them."""
