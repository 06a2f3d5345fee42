"""Certificates of a running server: read again after SIGHUP, and after their files have changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pronghorn.errors import StartupError
from pronghorn.listen import certificate_files, tls_server
from pronghorn.logging import log

if TYPE_CHECKING:
    from pronghorn.config import Config

_log = logging.getLogger("pronghorn.error")


class Renewal:
    """Renews the TLS context of `config` for later handshakes; connections keep theirs. If the files are bad, logs the
    reason and keeps the context.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._read = config.ssl_files
        self._seen = certificate_files.look(config)

    def renew(self) -> None:
        """Read the certificates again. Raises nothing."""
        self._read = self._seen = certificate_files.look(self._config)
        try:
            tls_server.renew(self._config)
        except StartupError as error:
            _log.error("Cannot renew the certificates, keeping the old ones: %s", error)
        except Exception as error:  # of a context factory
            log.say(logging.ERROR, "Cannot renew the certificates, keeping the old ones\n", error=error)
        else:
            _log.info("Renewed the certificates.")

    def check(self) -> None:
        """Renew if the files have changed, and then have not for the time between two calls: a certificate and its key
        are written one after the other.
        """
        if not self._config.ssl_reload:
            return
        seen = certificate_files.look(self._config)
        is_written = seen == self._seen
        self._seen = seen
        if is_written and seen != self._read:
            self.renew()
