"""Parse `forwarded_allow_ips`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from pronghorn.errors import StartupError

if TYPE_CHECKING:
    from pronghorn.config import Config

Trusted: TypeAlias = "list[str | tuple[bytes, int]]"

_log = logging.getLogger("pronghorn.error")


def of(config: Config) -> Trusted:
    """The trusted proxies of `config`. Raises StartupError if there are none, but the PROXY protocol needs one."""
    trusted = read(config.forwarded_allow_ips or ())
    if config.proxy_protocol and not trusted:
        raise StartupError("--proxy-protocol trusts no proxy: name it with --forwarded-allow-ips.")
    return trusted


def read(listed: Iterable[str] | str) -> Trusted:
    """Split `listed` into texts and networks, as (packed address, prefix length). Log warnings for useless members."""
    if isinstance(listed, str):
        listed = listed.split(",")
    members = [member for each in listed if (member := each.strip())]
    if "*" in members and members != ["*"]:
        _log.warning("forwarded_allow_ips: '*' trusts everybody only if it stands alone; here it is compared as text.")
    return [_network(member) if "/" in member else member for member in members]


def _network(text: str) -> str | tuple[bytes, int]:
    import ipaddress  # slow to import, and rarely needed

    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        _log.warning("forwarded_allow_ips: '%s' is not a network (%s); it is compared as text.", text, error)
        return text
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return mapped.packed, network.prefixlen - 96
    return network.network_address.packed, network.prefixlen
