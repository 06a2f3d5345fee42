"""The files that a TLS context is made from, to notice when they change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from pronghorn.listen import server_names

if TYPE_CHECKING:
    from pronghorn.listen.tls_context import Options
    from pronghorn.types import Path

State: TypeAlias = list[tuple[int, int, int] | None]
"""The identity, modification time and size of each file; None for one that is missing."""


def look(options: Options) -> State:
    """The state of the files of `options` now."""
    files = [options.ssl_certfile, options.ssl_keyfile, options.ssl_ca_certs]
    for named in server_names.parse(options.ssl_sni or ()):
        files += [named.certfile, named.keyfile]
    return [_state(path) for path in files if path]


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
