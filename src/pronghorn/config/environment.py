"""Values that a configuration takes from environment variables."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from pronghorn.config.parameters import ConfigError
from pronghorn.errors import StartupError

if TYPE_CHECKING:
    from pronghorn.config.parameters import Path

_log = logging.getLogger("pronghorn.error")


def load_file(path: Path) -> None:
    """Set the environment variables of an `env_file`."""
    try:
        from dotenv import load_dotenv
    except ImportError:
        raise StartupError("--env-file needs python-dotenv: pip install 'pronghorn[standard]'.") from None
    _log.info("Loading environment from '%s'", path)
    load_dotenv(path)


def workers() -> int:
    """The default of `workers`."""
    value = os.environ.get("WEB_CONCURRENCY") or "1"
    if not value.strip().isdecimal():
        raise ConfigError("WEB_CONCURRENCY must be a number of workers, not %r", value)
    return int(value)


def trusted_proxies() -> str:
    """The default of `forwarded_allow_ips`."""
    return os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
