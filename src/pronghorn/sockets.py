"""The sockets that a server listens on: made from host and port, from a path, or inherited as a descriptor.

All are bound and none listens yet. What cannot be bound raises StartupError with the line that says why.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from pronghorn.errors import StartupError
from pronghorn.log import bold

if TYPE_CHECKING:
    from pronghorn.config import Config

# Another process may take, on one of the host's addresses, the port that the system has just chosen on another.
_PORT_CHOICES = 10

# A host may have addresses of a family, or of an interface, that this machine lacks: "localhost" without IPv6.
_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}

# What tells how much of a socket's output is not acknowledged: an ioctl of Linux, an option of macOS.
_SIOCOUTQ = 0x5411
_SO_NWRITE = 0x1024

_Address: TypeAlias = tuple[int, int, int, tuple[Any, ...]]

# The file of each path bound here, told apart from one that a later server has put in its place.
_files: dict[str, tuple[int, int, int]] = {}


def bind(config: Config) -> list[socket.socket]:
    """Every socket that `config` names: one for a descriptor or path, one for each address of a host."""
    if config.fd is not None:
        return [_inherit(config.fd)]
    if config.uds is not None:
        return [_bind_path(config.uds)]
    addresses = _resolve(config.host, config.port)
    for _ in range(_PORT_CHOICES if config.port == 0 else 1):
        try:
            return _bind_all(addresses)
        except OSError as error:
            refusal = StartupError(str(error))
    raise refusal


def bind_one(config: Config) -> socket.socket:
    """The one socket that several processes share; of a host with several addresses, on its first IPv4 one."""
    if config.fd is not None or config.uds is not None:
        return bind(config)[0]
    family = socket.AF_INET6 if config.host and ":" in config.host else socket.AF_INET
    try:
        return _bind_all(_resolve(config.host, config.port, family)[:1])[0]
    except OSError as error:
        raise StartupError(str(error)) from None


def describe(sockets: list[socket.socket], config: Config) -> list[tuple[str, str]]:
    """The lines that say where the server runs: each plain, and with colours."""
    if config.fd is not None:
        place, kind = str(sockets[0].getsockname()), "socket "
    elif config.uds is not None:
        place, kind = config.uds, "unix socket "
    else:
        name = sockets[0].getsockname()
        host = config.host or name[0]
        scheme = "https" if config.is_ssl else "http"
        place, kind = f"{scheme}://[{host}]:{name[1]}" if ":" in host else f"{scheme}://{host}:{name[1]}", ""
    plain, coloured = (f"Pronghorn running on {kind}{text} (Press CTRL+C to quit)" for text in (place, bold(place)))
    return [(plain, coloured)]


def unlink(config: Config) -> None:
    """Remove the file of a unix socket bound here, unless it is another server's by now. May be called again."""
    if config.uds is None or config.fd is not None:
        return
    ours = _files.pop(config.uds, None)
    try:
        if ours is not None and ours == _identity(config.uds):
            os.unlink(config.uds)
    except FileNotFoundError:
        pass


def has_unsent(sock: socket.socket) -> bool | None:
    """Whether the system holds bytes that the other side has not acknowledged; None where it does not tell."""
    platform: str = sys.platform
    try:
        if platform == "linux":
            import fcntl

            return any(fcntl.ioctl(sock.fileno(), _SIOCOUTQ, bytes(4)))
        if platform == "darwin":
            return sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE) > 0
    except (OSError, ValueError):  # it is closed
        pass
    return None


def _resolve(host: str | None, port: int, family: int = socket.AF_UNSPEC) -> list[_Address]:
    """The addresses of `host`, as (family, type, protocol, address); those of every interface for an empty one."""
    try:
        found = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise StartupError(f"Cannot find the address of host {host!r}: {error}") from None
    return list(dict.fromkeys((family, kind, protocol, address) for family, kind, protocol, _, address in found))


def _bind_all(addresses: list[_Address]) -> list[socket.socket]:
    """A socket for each address that this machine has, of which there is one at least; all on the same port."""
    sockets: list[socket.socket] = []
    absent = None
    try:
        for address in addresses:
            try:
                sockets.append(_bind_address(address, sockets[0].getsockname()[1] if sockets else None))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
        if absent is not None and not sockets:
            raise absent
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind_address(address: _Address, port: int | None) -> socket.socket:
    family, kind, protocol, place = address
    if port is not None:
        place = (place[0], port, *place[2:])
    sock = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix" and sys.platform != "cygwin":  # elsewhere it would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
    except OSError as error:
        sock.close()
        raise _explained(error, f"address {place!r}") from None
    return sock


def _bind_path(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mode = _clear(path)
        sock.bind(path)
        os.chmod(path, mode)
        _files[path] = _identity(path)
    except OSError as error:
        sock.close()
        raise StartupError(str(_explained(error, f"unix socket {path!r}"))) from None
    return sock


def _clear(path: str) -> int:
    """Remove the socket that a server which is gone has left at `path`; returns the mode for the new one."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return 0o666
    if stat.S_ISSOCK(mode) and _is_stale(path):
        os.unlink(path)
    return stat.S_IMODE(mode)


def _is_stale(path: str) -> bool:
    """Whether nobody listens. Anything but a plain refusal (a full queue, no permission) may be a live server."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _inherit(descriptor: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartupError(f"[Errno {error.errno}] file descriptor {descriptor}: {error.strerror}") from None
    if sock.type != socket.SOCK_STREAM:
        sock.close()
        raise StartupError(f"File descriptor {descriptor} is not a stream socket.")
    return sock


def _identity(path: str) -> tuple[int, int, int]:
    # The number of a removed file is soon used again, the time of its making is not.
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _explained(error: OSError, place: str) -> OSError:
    reason = error.strerror.lower() if error.strerror else str(error)
    return OSError(error.errno or 0, f"error while attempting to bind on {place}: {reason}")
