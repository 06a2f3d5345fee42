"""WebSocket (RFC 6455): the handshake, frames, compression, and the session of an application."""
