"""The line about a slow request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

from pronghorn.logging.log import say
from pronghorn.logging.request_context import ids_of

if TYPE_CHECKING:
    from pronghorn._wire.observed import ObservedRequest


def report(request: ObservedRequest, status: int) -> None:
    """Log where the time of `request` went. A `status` of 0 means that the client left before it was sent a response.

    Raises nothing.
    """
    total, queue, client, application = request.times()
    head = request.head
    scope = request.make_scope()  # the application may have changed its own
    path = quote(scope["path"])
    query = head.query.decode("latin-1")
    fields: dict[str, object] = {
        "client": request.client_text or None,
        "method": head.method,
        "path": path,
        "query": query,
        "protocol": f"HTTP/{head.version}",
        "status": status or None,
        "duration": round(total, 6),
        "application_time": round(application, 6),
        "client_time": round(client, 6),
        "queue_time": round(queue, 6),
    }
    say(
        logging.WARNING,
        '%s - "%s %s HTTP/%s" %s took %.3f s: application %.3f s, client %.3f s, queue %.3f s%s',
        request.client_text,
        head.method,
        f"{path}?{quote(query, safe=_SAFE)}" if query else path,
        head.version,
        status or "-",
        total,
        application,
        client,
        queue,
        "" if status else "; the client has left",
        fields=fields | ids_of(request.request_id(), head.headers),
    )


# All that a query may have, except for what could end the quoted request line.
_SAFE = "!#$%&'()*+,/:;=?@[\\]^`{|}~"
