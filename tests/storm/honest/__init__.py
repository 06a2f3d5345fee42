"""Honest clients: each session follows the RFCs and checks every byte of the responses."""

from __future__ import annotations

from tests.storm.honest import bridges, files, http2, libraries, raw, streams, uploads, websockets
from tests.storm.witness import Session

# The number of concurrent clients of each kind.
SESSIONS: dict[str, tuple[Session, int]] = {
    "keep-alive": (raw.keep_alive, 4),
    "pipelines": (raw.pipelines, 1),
    "half-closed": (raw.half_closed, 1),
    "broken off": (raw.broken_off, 1),
    "uploads": (uploads.uploads, 1),
    "refused uploads": (uploads.refused, 2),
    "files": (files.files, 1),
    "events": (streams.events, 2),
    "steady readers": (streams.steady_readers, 2),
    "steady readers of files": (files.steady_readers, 1),
    "WSGI": (bridges.bridge, 2),
    "WSGI, mounted": (bridges.mounted, 1),
    "aiohttp": (libraries.with_aiohttp, 1),
    "httpx": (libraries.with_httpx, 1),
    "websockets": (websockets.with_websockets, 2),
    "HTTP/2": (http2.requests, 2),
    "HTTP/2, WebSockets": (http2.websockets, 1),
}
