"""One request and the answer that is right, asked of a server before it is measured."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from .process import Process


@dataclass(frozen=True)
class Exchange:
    """A GET of `target`, or a POST when there is something `sent`; the answer has to be a 200 with `body`."""

    target: str = "/"
    sent: bytes | None = None
    body: bytes = b""

    def check(self, process: Process) -> None:
        """Ask once, after waiting for the server to listen. Raises ServerFailed when the answer is not right."""
        connection = http.client.HTTPConnection("127.0.0.1", process.port)
        connection.sock = process.connect()
        try:
            connection.request("POST" if self.sent else "GET", self.target, self.sent)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise process.failure(f"did not answer {self.target}: {error!r}") from error
        finally:
            connection.close()
        if (response.status, body) != (200, self.body):
            raise process.failure(f"answered {self.target} wrongly: {response.status} {body[:200]!r}")
