"""Sockets to listen on: bound to hosts and ports, bound to paths, or inherited as file descriptors.

They are bound but do not listen yet. A socket that cannot be bound raises StartupError, with the reason in one line.
"""

from __future__ import annotations

import array
import contextlib
import errno
import itertools
import os
import socket
import stat
import struct
import sys
import weakref
from typing import Any, NamedTuple, TypeAlias

from pronghorn.errors import StartupError
from pronghorn.listen import activation, places
from pronghorn.listen.places import Options, Place
from pronghorn.logging.formatters import bold
from pronghorn.process import modes

# Attempts for port 0: the port that the system chose on one of the host's addresses may be taken on another.
_PORT_CHOICES = 10

# Errors for an address family or interface that this machine lacks, such as "localhost" without IPv6.
_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}

# The wildcard addresses, which stand for every interface.
_ANY = {"0.0.0.0", "::"}

# Advice by kind of place and errno, and the flag that it ends with if the place has no flag of its own.
_ADVICE = {
    ("address", errno.EADDRINUSE): (
        "Another process is listening there: stop it, or choose another port with {}.",
        "--port",
    ),
    ("address", errno.EACCES): ("Ports below 1024 may need privileges: choose another port with {}.", "--port"),
    ("address", errno.EADDRNOTAVAIL): ("This machine does not have that address: choose another with {}.", "--host"),
    ("unix", errno.EADDRINUSE): (
        "Another server listens there, or it is not a socket: choose another path with {}.",
        "--uds",
    ),
    ("unix", errno.ENOENT): ("Its directory must exist.", ""),
    ("unix", errno.EACCES): ("Its directory must be writable.", ""),
}

# The flags for places with another purpose than requests.
_FLAGS = {"metrics": "--metrics-bind", "redirect": "--https-redirect"}

# A classic BPF program for a TCP socket (/usr/include/linux/filter.h): drop incoming segments that would open a
# connection, those with SYN and without ACK.
_SO_ATTACH_FILTER = 26
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte of TCP flags
    (0x54, 0, 0, 0x12),  # mask SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # accept it
)

# Untyped: not all systems have SO_REUSEPORT.
_socket: Any = socket

_Address: TypeAlias = tuple[int, int, int, tuple[Any, ...]]

# The sockets that this process has bound to an address.
_bound: weakref.WeakSet[socket.socket] = weakref.WeakSet()


class Use(NamedTuple):
    """The use of sockets that are bound together: their place, their purpose, and the number of equal ones before: for
    port 0, the system chooses a port for each.
    """

    place: Place
    purpose: str
    number: int


# The use of each socket.
_uses: weakref.WeakKeyDictionary[socket.socket, Use] = weakref.WeakKeyDictionary()

# Sockets of an older program, for `bind` to use.
_offered: dict[Use, list[socket.socket]] = {}

# The identity of the file at each path bound here; it differs once a later server has replaced the file.
_files: dict[str, tuple[int, int, int]] = {}


def bind(options: Options, purpose: str = "requests") -> list[socket.socket]:
    """Bind all sockets of `options`: one for each descriptor or path, and one for each address of a host.

    A new program gets those of an older one that have the same `purpose`.
    """
    refuse_overlaps(options)
    _ensure_ports_can_be_shared(options)
    sockets: list[socket.socket] = []
    try:
        named = places.of(options)
        for index, place in enumerate(named):
            use = Use(place, purpose, named[:index].count(place))
            for sock in _offered.pop(use, None) or _bind_place(place, options, _flag(options, purpose)):
                _uses[sock] = use
                sockets.append(sock)
    except StartupError:
        release(sockets, options)
        raise
    return sockets


def refuse_overlaps(options: Options, is_service: bool = True) -> None:
    """Raises StartupError if two places of `options` are one. `is_service` is false where systemd passes no sockets."""
    # bind() would succeed: sockets that do not listen yet may share an address, and a path looks like a stale socket.
    texts = [f"--bind {text}" for text in options.bind or ()] or ["The server's address"]
    named = list(zip(texts, places.of(options), strict=False))
    if options.metrics_bind is not None:
        named.append((f"--metrics-bind {options.metrics_bind}", places.parse(options.metrics_bind)))
    named += [(f"--https-redirect {place.port}", place) for place in places.of_redirect(options)]
    offered = {use.place for use in _offered}
    named = [(text, place) for text, place in named if place not in offered and (is_service or place.name is None)]
    for (text, place), (other_text, other) in itertools.combinations(named, 2):
        if _overlap(place, other):
            raise StartupError(f"{text} and {other_text} overlap: remove one of them.")


def release(sockets: list[socket.socket], options: Options) -> None:
    """Close the sockets of `options`, and remove the files of those bound here. May be called again."""
    for sock in sockets:
        sock.close()
    unlink(options)


def held() -> list[tuple[Use, socket.socket]]:
    """The open sockets that `bind` has returned, with their uses."""
    return [(use, sock) for sock, use in _uses.items() if sock.fileno() >= 0]


def offer(handed: list[tuple[Use, socket.socket]]) -> None:
    """Let `bind` use sockets of an older program, which continues to use them too. They count as inherited."""
    for use, sock in handed:
        sock.set_inheritable(False)
        _offered.setdefault(use, []).append(sock)


def take_over() -> None:
    """Count the sockets that were offered, and the files of Unix sockets, as bound here: the older program is done."""
    for sock in itertools.chain(*_offered.values()):  # for places that are no longer configured
        sock.close()
    _offered.clear()
    for (place, _, _), sock in held():
        if place.descriptor is None and place.name is None:
            _bound.add(sock)
        if place.path is not None:
            with contextlib.suppress(OSError):
                _files[place.path] = _identity(place.path)


def leave() -> None:
    """Count the sockets that were bound here, and the files of Unix sockets, as inherited: a newer program has them."""
    _bound.clear()
    _files.clear()


def bind_one(options: Options) -> socket.socket:
    """Bind one socket for several processes to share; a host name stands for its first IPv4 address."""
    _ensure_ports_can_be_shared(options)
    named = places.of(options)
    if len(named) > 1:
        raise StartupError(f"--bind names {len(named)} places, but only one socket can be bound here.")
    if named[0].host is None:
        return bind(options)[0]
    host, port, *_ = named[0]
    family = socket.AF_INET6 if host and ":" in host else socket.AF_INET
    try:
        return _bind_all(_resolve(host, port, family)[:1], options, _flag(options, "requests"))[0]
    except OSError as error:
        raise StartupError(str(error)) from None


def describe(sockets: list[socket.socket], options: Options) -> list[tuple[str, str]]:
    """The log lines with the addresses of the server, and whether it serves HTTP/2, each plain and coloured."""
    if options.bind:
        named = [_describe_name(sock.getsockname(), options) for sock in sockets]
    elif options.fd is not None:
        named = [("socket ", str(sockets[0].getsockname()))]
    elif options.uds is not None:
        named = [("unix socket ", options.uds)]
    else:
        name = sockets[0].getsockname()
        named = [_describe_name((options.host or name[0], name[1]), options)]
    lines = [
        (
            f"Pronghorn running on {kind}{place} (Press CTRL+C to quit)",
            f"Pronghorn running on {kind}{bold(place)} (Press CTRL+C to quit)",
        )
        for kind, place in named
    ]
    if options.http2:
        lines.append(("Serving HTTP/1.1 and HTTP/2",) * 2)
    return lines


def addresses(sockets: list[socket.socket], options: Options) -> list[str]:
    """The addresses of sockets of `--bind`, in words."""
    return ["".join(_describe_name(sock.getsockname(), options)) for sock in sockets]


def withdraw(sockets: list[socket.socket], options: Options) -> None:
    """Prevent new connections on those of `sockets` that were bound here, where the system can. Established connections
    and handshakes in progress continue. An inherited socket is left to the processes that share it.
    """
    unlink(options)
    if sys.platform == "linux":
        for sock in sockets:
            if sock in _bound:
                _drop_syn(sock)


def unlink(options: Options) -> None:
    """Remove the files of Unix sockets bound here, unless another server has replaced them. May be called again.

    A file stays if `--user` may not remove it: the next server replaces it.
    """
    for place in places.of(options):
        path = place.path
        ours = _files.pop(path, None) if path is not None else None
        try:
            if path is not None and ours is not None and ours == _identity(path):
                os.unlink(path)
        except (FileNotFoundError, PermissionError):
            pass


def give(options: Options, uid: int, gid: int) -> None:
    """Make a user and group the owners of the files of Unix sockets bound here. Raises OSError."""
    for place in places.of(options):
        if sys.platform != "win32" and place.path in _files:
            os.chown(place.path, uid, gid, follow_symlinks=False)


def cannot_listen(error: OSError, name: Any, sock: socket.socket, options: Options) -> StartupError:
    """The error for a socket bound to `name` that cannot listen because another one already does."""
    place = f"address {name!r}" if isinstance(name, tuple) else f"unix socket {name!r}"
    flag = _flag(options, _uses[sock].purpose) if sock in _uses else None
    return StartupError(str(_explained(error, place, flag, "listen")))


def _drop_syn(sock: socket.socket) -> None:
    program = array.array("B", b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN))
    filter_program = struct.pack("HP", len(_DROP_SYN), program.buffer_info()[0])
    with contextlib.suppress(OSError):  # a system that only emulates Linux
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)


def _describe_name(name: Any, options: Options) -> tuple[str, str]:
    """The kind of a socket, and its address or URL."""
    if not isinstance(name, tuple):
        return "unix socket ", os.fsdecode(name)
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return "", f"{'https' if options.is_ssl else 'http'}://{host}:{name[1]}"


def _ensure_ports_can_be_shared(options: Options) -> None:
    if options.reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise StartupError("This system cannot share a port between servers: remove --reuse-port.")


def _overlap(one: Place, other: Place) -> bool:
    if one.port and one.port == other.port:
        addresses = itertools.product(_resolve(one.host, one.port), _resolve(other.host, other.port))
        return any(
            family == other_family and (host == other_host or _ANY & {host, other_host})
            for (family, _, _, (host, *_)), (other_family, _, _, (other_host, *_)) in addresses
        )
    if one.path is not None and other.path is not None:
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    return not set(_descriptors(one)).isdisjoint(_descriptors(other))


def _descriptors(place: Place) -> list[int]:
    """The inherited descriptors that `place` stands for."""
    if place.name is not None:
        return activation.descriptors(place.name)
    return [] if place.descriptor is None else [place.descriptor]


def _flag(options: Options, purpose: str) -> str | None:
    """The flag for the places of `options`; None if each part of a place has its own."""
    return _FLAGS.get(purpose, "--bind" if options.bind else None)


def _bind_place(place: Place, options: Options, flag: str | None) -> list[socket.socket]:
    if descriptors := _descriptors(place):
        return _inherit_all(descriptors)
    if place.path is not None:
        return [_bind_path(place.path, options.uds_permissions, flag)]
    addresses = _resolve(place.host, place.port)
    for _ in range(_PORT_CHOICES if place.port == 0 else 1):
        try:
            return _bind_all(addresses, options, flag)
        except OSError as error:
            refusal = StartupError(str(error))
    raise refusal


def _resolve(host: str | None, port: int, family: int = socket.AF_UNSPEC) -> list[_Address]:
    """The addresses of `host`, as (family, type, protocol, address); an empty host means every interface."""
    try:
        found = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise StartupError(f"Cannot resolve host {host!r}: {error}") from None
    return list(dict.fromkeys((family, kind, protocol, address) for family, kind, protocol, _, address in found))


def _bind_all(addresses: list[_Address], options: Options, flag: str | None) -> list[socket.socket]:
    """Bind a socket to each address that this machine has, all on the same port. Raises OSError if it has none."""
    sockets: list[socket.socket] = []
    absent = None
    try:
        for address in addresses:
            try:
                port = sockets[0].getsockname()[1] if sockets else None
                sockets.append(_bind_address(address, port, options, flag))
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


def _bind_address(address: _Address, port: int | None, options: Options, flag: str | None) -> socket.socket:
    family, kind, protocol, place = address
    if port is not None:
        place = (place[0], port, *place[2:])
    sock = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix" and sys.platform != "cygwin":  # elsewhere this would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
    except OSError as error:
        sock.close()
        raise _explained(error, f"address {place!r}", flag) from None
    _bound.add(sock)
    return sock


def _bind_path(path: str, permissions: int | str | None, flag: str | None) -> socket.socket:
    sock = _unix_socket()
    try:
        mode = _clear(path)
        sock.bind(path)
        os.chmod(path, mode if permissions is None else modes.parse(permissions))
        _files[path] = _identity(path)
    except OSError as error:
        sock.close()
        raise StartupError(str(_explained(error, f"unix socket {path!r}", flag))) from None
    return sock


def _unix_socket() -> socket.socket:
    if sys.platform != "win32":
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raise StartupError("This system has no Unix sockets: use a host and a port.")


def _clear(path: str) -> int:
    """Remove a stale socket at `path`; return the file mode for the new one."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return 0o666
    if stat.S_ISSOCK(mode) and _is_stale(path):
        os.unlink(path)
    return stat.S_IMODE(mode)


def _is_stale(path: str) -> bool:
    """Return whether no server listens. After any error but a refusal (full queue, no permission) one may be alive."""
    with _unix_socket() as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _inherit_all(descriptors: list[int]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for descriptor in descriptors:
            sockets.append(_inherit(descriptor))
    except StartupError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _inherit(descriptor: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartupError(
            f"[Errno {error.errno}] file descriptor {descriptor}: {error.strerror}. It must be an inherited socket."
        ) from None
    if sock.type != socket.SOCK_STREAM:
        sock.close()
        raise StartupError(f"File descriptor {descriptor} is not a stream socket.")
    return sock


def _identity(path: str) -> tuple[int, int, int]:
    # The inode number of a removed file is soon reused; its modification time is not.
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _explained(error: OSError, place: str, flag: str | None = None, attempt: str = "bind") -> OSError:
    reason = error.strerror.lower() if error.strerror else str(error)
    text = f"error while attempting to {attempt} on {place}: {reason}"
    if advice := _ADVICE.get((place.partition(" ")[0], error.errno or 0)):
        text += ". " + advice[0].format(flag or advice[1])
    return OSError(error.errno, text) if error.errno else OSError(text)
