"""The traceparent field of requests (W3C Trace Context, section 3.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pronghorn.types import Headers

# Version 00 has no more than four parts; a later one may have, and ff is invalid. IDs of zeros only are invalid.
_TRACEPARENT = re.compile(
    rb"(?:00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}"
    rb"|(?!00|ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?)"
)


def read(fields: Headers) -> tuple[str, str] | None:
    """The IDs of the trace and of the client's span; None without a valid field, or with several."""
    values = [value for name, value in fields if name == b"traceparent"]
    found = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return None
    trace, span = found[1] or found[3], found[2] or found[4]
    return trace.decode("ascii"), span.decode("ascii")
