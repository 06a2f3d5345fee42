"""The part that all simulated clients share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.network import Link

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Client:
    """One client of `life`, at the other end of `link`, whose random numbers are its own."""

    def __init__(self, life: Life, link: Link) -> None:
        self.life = life
        self.link = link
        self.rng = link.rng

    def fail(self, text: str) -> None:
        self.life.fail(f"client {self.link.number}: {text}")

    def handshake(self) -> bytes:
        """The request for a WebSocket whose target is the client's number."""
        return (
            f"GET /{self.link.number} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {_KEY}\r\n\r\n".encode()
        )
