"""Disagreements that are known: the front end's fault, which the server has no way to see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.smuggling.trial import Key, Outcome, Outcomes


class Known(NamedTuple):
    """A pattern of the fault, and the version of the program in which it was found."""

    fault: str
    version: str


_HAPROXY = "2.6.12-1+deb12u4"

# By front end, group and name of the vector.
KNOWN = {
    # haproxy 2.6 does not check the Content-Length of a request of HTTP/2 that ends with trailers. It declares a length
    # to the server, sends less, and uses the connection again if the server has responded. Over HTTP/2, the server
    # notices.
    **{
        (front, group, name): Known(fault, _HAPROXY)
        for front in ("haproxy", "haproxy, lax")
        for group, name, fault in (
            (
                "frames, stream",
                "trailers-after-a-short-body",
                r"T b'(/victim-\d+)' was b'GET \1 HTTP/1.1' for the front end",
            ),
            (
                "HTTP/2",
                "content-length longer, with trailers",
                r"a victim got \[Answer\(status=400, number=None\)\], and the application \[\]",
            ),
        )
    },
    # haproxy 2.6 translates an upgrade of any method to the CONNECT of HTTP/2. It relays the rest of the connection, as
    # for one of GET, so no request begins there.
    ("haproxy, HTTP/2", "connection", "Upgrade: websocket in a POST"): Known(
        r" b'/outer' was b'POST /outer HTTP/1.1' for the front end", _HAPROXY
    ),
}


def unknown(front: str, key: Key, outcome: Outcome) -> list[str]:
    """The faults of an outcome that are not known of the front end."""
    known = _known(front, key)
    return [fault for fault in outcome.faults if known is None or not re.fullmatch(known.fault, fault)]


def absent(front: str, outcomes: Outcomes) -> Iterator[tuple[Key, Known]]:
    """The known faults of the front end that did not occur, of the vectors that were tried."""
    for key, outcome in outcomes.items():
        known = _known(front, key)
        if known is not None and not any(re.fullmatch(known.fault, fault) for fault in outcome.faults):
            yield key, known


def _known(front: str, key: Key) -> Known | None:
    _, group, name = key
    return KNOWN.get((front, group, name))
