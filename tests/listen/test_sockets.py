"""Binding: the addresses of a host, unix sockets, and inherited descriptors."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.config import Config, ConfigError
from pronghorn.errors import StartupError
from pronghorn.listen import activation, places, sockets

Bind = Callable[..., list[socket.socket]]


def config(**parameters: Any) -> Config:
    port = {} if "bind" in parameters else {"port": 0}
    return Config("main:app", log_config=None, **{**port, **parameters})


@pytest.fixture
def bind() -> Iterator[Bind]:
    bound: list[socket.socket] = []

    def bind(**parameters: Any) -> list[socket.socket]:
        bound.extend(made := sockets.bind(config(**parameters)))
        return made

    yield bind
    for sock in bound:
        sock.close()


@pytest.fixture
def path() -> Iterator[str]:
    """A path short enough for a unix socket."""
    with tempfile.TemporaryDirectory() as directory:
        yield f"{directory}/s"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def test_default_host_is_ipv4(bind: Bind) -> None:
    (sock,) = bind()
    assert (sock.family, sock.getsockname()[0]) == (socket.AF_INET, "127.0.0.1")


@needs_ipv6
def test_ipv6_socket_is_ipv6_only(bind: Bind) -> None:
    (sock,) = bind(host="::1")
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@needs_ipv6
def test_empty_host_binds_every_interface_to_one_port(bind: Bind) -> None:
    bound = bind(host="")
    assert {sock.getsockname()[0] for sock in bound} == {"0.0.0.0", "::"}
    assert len({sock.getsockname()[1] for sock in bound}) == 1


def answers(*addresses: str) -> Any:
    """A fake `getaddrinfo` that returns these IPv4 addresses."""
    return lambda host, port, *rest, **flags: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
    ]


def test_unavailable_addresses_are_skipped(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("192.0.2.1", "127.0.0.1", "127.0.0.1"))
    (sock,) = bind(host="example")
    assert sock.getsockname()[0] == "127.0.0.1"


def test_host_without_available_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("192.0.2.1"))
    with pytest.raises(StartupError, match=r"bind on address \('192\.0\.2\.1', 0\)"):
        sockets.bind(config(host="example"))


def test_second_address_gets_port_of_first(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("127.0.0.1", "127.0.0.2"))
    first, second = bind(host="example")
    assert first.getsockname()[1] == second.getsockname()[1]


def test_another_port_is_chosen_if_taken_on_second_address(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("127.0.0.1", "127.0.0.2"))
    real, refusals = sockets._bind_address, iter([True])

    def refuse_once(address: Any, port: int | None, *arguments: Any) -> socket.socket:
        if port is not None and next(refusals, False):
            raise OSError(98, "taken")
        return real(address, port, *arguments)

    monkeypatch.setattr(sockets, "_bind_address", refuse_once)
    assert len(bind(host="example")) == 2


def test_unknown_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **flags: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(StartupError, match="Cannot resolve host 'nowhere'"):
        sockets.bind(config(host="nowhere"))


def test_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            sockets.bind(config(port=port))
    assert str(caught.value) == (
        f"[Errno 98] error while attempting to bind on address ('127.0.0.1', {port}): address already in use. "
        "Another process is listening there: stop it, or choose another port with --port."
    )


@pytest.mark.parametrize(
    ("purpose", "flag"), [("requests", "--bind"), ("redirect", "--https-redirect"), ("metrics", "--metrics-bind")]
)
def test_port_in_use_is_reported_with_its_flag(purpose: str, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=rf"choose another port with {flag}\.$"):
            sockets.bind(config(bind=[f"127.0.0.1:{port}"]), purpose)


@pytest.mark.parametrize(
    ("number", "place", "advice"),
    [
        (
            errno.EACCES,
            "address ('127.0.0.1', 80)",
            "Ports below 1024 may need privileges: choose another port with --port.",
        ),
        (
            errno.EADDRNOTAVAIL,
            "address ('1.2.3.4', 80)",
            "This machine does not have that address: choose another with --host.",
        ),
        (errno.ENOENT, "unix socket '/no/s'", "Its directory must exist."),
    ],
)
def test_bind_error_has_advice(number: int, place: str, advice: str) -> None:
    error = sockets._explained(OSError(number, "Reason"), place)
    assert str(error) == f"[Errno {number}] error while attempting to bind on {place}: reason. {advice}"


def test_too_long_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        StartupError, match=r"^error while attempting to bind on unix socket '.*': AF_UNIX path too long$"
    ):
        sockets.bind(config(uds=str(tmp_path / ("s" * 200))))


def test_bound_socket_does_not_listen_yet(bind: Bind) -> None:
    (sock,) = bind()
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0


def test_port_may_be_reused_at_once(bind: Bind) -> None:
    (sock,) = bind()
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_unix_socket_is_accessible_to_everyone(bind: Bind, path: str) -> None:
    bind(uds=path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666


def leave_stale(path: str, mode: int) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    os.chmod(path, mode)


def test_stale_unix_socket_is_replaced_and_keeps_its_mode(bind: Bind, path: str) -> None:
    leave_stale(path, 0o600)
    bind(uds=path)[0].listen()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@pytest.mark.parametrize("clients", [0, 1, 2], ids="{} waiting".format)
def test_live_unix_socket_is_not_stolen(path: str, clients: int) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(clients)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(path)
        inode = os.stat(path).st_ino
        with pytest.raises(StartupError, match="address already in use"):
            sockets.bind(config(uds=path))
        assert os.stat(path).st_ino == inode
        for client in waiting:
            client.close()


def test_ordinary_file_is_not_replaced(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(StartupError, match="address already in use"):
        sockets.bind(config(uds=path))
    assert Path(path).read_text() == "precious"


def test_unix_socket_in_missing_directory_is_refused(path: str) -> None:
    with pytest.raises(StartupError, match="no such file or directory"):
        sockets.bind(config(uds=f"{path}/s"))


def test_too_long_path_in_tmp_is_refused() -> None:
    with pytest.raises(StartupError, match="path too long"):
        sockets.bind(config(uds="/tmp/" + "x" * 200))


def test_unlink_may_be_called_twice(bind: Bind, path: str) -> None:
    bind(uds=path)
    sockets.unlink(config(uds=path))
    sockets.unlink(config(uds=path))
    assert not os.path.exists(path)


def test_unlink_keeps_file_of_successor(bind: Bind, path: str) -> None:
    (first,) = bind(uds=path)
    first.close()
    os.unlink(path)
    leave_stale(path, 0o666)
    sockets.unlink(config(uds=path))
    assert os.path.exists(path)


def test_unlink_keeps_file_not_bound_here(path: str) -> None:
    leave_stale(path, 0o666)
    sockets.unlink(config(uds=path))
    assert os.path.exists(path)


def test_inherited_descriptor_is_used(bind: Bind) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    name = given.getsockname()
    (sock,) = bind(fd=given.detach())
    assert (sock.family, sock.getsockname()) == (socket.AF_INET, name)


def test_closed_descriptor_is_refused() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(StartupError, match=rf"^\[Errno 9\] file descriptor {read}: Bad file descriptor"):
        sockets.bind(config(fd=read))


def test_descriptor_of_pipe_is_refused() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(StartupError, match="on non-socket"):
            sockets.bind(config(fd=read))
    finally:
        os.close(read)
        os.close(write)


def test_descriptor_of_datagram_socket_is_refused() -> None:
    with pytest.raises(StartupError, match="not a stream socket"):
        sockets.bind(config(fd=socket.socket(type=socket.SOCK_DGRAM).detach()))


def test_line_has_actual_port(bind: Bind) -> None:
    bound = bind()
    url = f"http://127.0.0.1:{bound[0].getsockname()[1]}"
    assert sockets.describe(bound, config()) == [
        (
            f"Pronghorn running on {url} (Press CTRL+C to quit)",
            f"Pronghorn running on \x1b[1m{url}\x1b[0m (Press CTRL+C to quit)",
        )
    ]


@needs_ipv6
def test_line_has_brackets_for_ipv6(bind: Bind) -> None:
    bound = bind(host="::1")
    line, _ = sockets.describe(bound, config(host="::1"))[0]
    assert line == f"Pronghorn running on http://[::1]:{bound[0].getsockname()[1]} (Press CTRL+C to quit)"


def test_line_has_path_of_unix_socket(bind: Bind, path: str) -> None:
    line, _ = sockets.describe(bind(uds=path), config(uds=path))[0]
    assert line == f"Pronghorn running on unix socket {path} (Press CTRL+C to quit)"


def test_line_has_address_of_descriptor(bind: Bind) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    name, number = given.getsockname(), given.detach()
    line, _ = sockets.describe(bind(fd=number), config(fd=number))[0]
    assert line == f"Pronghorn running on socket {name} (Press CTRL+C to quit)"


def test_bind_socket_returns_inheritable_socket() -> None:
    with config(host="localhost").bind_socket() as sock:
        assert (sock.family, sock.get_inheritable()) == (socket.AF_INET, True)


def test_places_are_parsed() -> None:
    assert [
        places.parse(text)
        for text in (
            "127.0.0.1:80",
            "example.com:0",
            "[::1]:8000",
            ":9000",
            "unix:/run/a b:1.sock",
            "fd://3",
            "fd://a.b",
        )
    ] == [
        places.Place("127.0.0.1", 80),
        places.Place("example.com", 0),
        places.Place("::1", 8000),
        places.Place("", 9000),
        places.Place(path="/run/a b:1.sock"),
        places.Place(descriptor=3),
        places.Place(name="a.b"),
    ]


@pytest.mark.parametrize(
    "text", ["", "8000", "localhost", "::1:8000", "a:65536", "a:-1", "a:b", "unix:", "fd://", "fd://a:b", "http://a:1"]
)
def test_malformed_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not HOST:PORT, \[IPV6\]:PORT, unix:PATH, fd://NUMBER or fd://NAME"):
        config(bind=[text])


@pytest.mark.parametrize("other", [{"host": "::1"}, {"port": 80}, {"uds": "/s"}, {"fd": 0}], ids=str)
def test_bind_cannot_be_combined(other: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="bind cannot be combined with host, port, uds or fd"):
        config(bind=["127.0.0.1:0"], **other)


@needs_ipv6
def test_several_places_are_bound(bind: Bind, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        places = ["127.0.0.1:0", "[::1]:0", f"unix:{path}", f"fd://{os.dup(given.fileno())}"]
        bound = bind(bind=places)
        lines = [line for line, _ in sockets.describe(bound, config(bind=places))]
        names = [sock.getsockname() for sock in bound]
        assert names[3] == given.getsockname()
    assert lines == [
        f"Pronghorn running on {place} (Press CTRL+C to quit)"
        for place in (
            f"http://127.0.0.1:{names[0][1]}",
            f"http://[::1]:{names[1][1]}",
            f"unix socket {path}",
            f"http://127.0.0.1:{names[3][1]}",
        )
    ]
    sockets.unlink(config(bind=places))
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("localhost:8000", "127.0.0.1:8000"),
        ("127.0.0.1:8000", "0.0.0.0:8000"),
        (":8000", "127.0.0.1:8000"),
        ("unix:s", "unix:./s"),
        ("fd://99", "fd://99"),
        pytest.param("[::]:8000", "[::1]:8000", marks=needs_ipv6),
    ],
)
def test_overlapping_places_are_refused(one: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StartupError) as caught:
        sockets.bind(config(bind=["127.0.0.1:0", one, other]))
    assert str(caught.value) == f"--bind {one} and --bind {other} overlap: remove one of them."
    assert os.listdir() == []


@pytest.mark.parametrize(
    "places",
    [
        ["127.0.0.1:0", "127.0.0.1:0"],
        ["127.0.0.1:{}", "127.0.0.2:{}"],
        pytest.param(["0.0.0.0:{}", "[::]:{}"], marks=needs_ipv6),
        ["unix:one", "unix:two"],
    ],
    ids=str,
)
def test_places_that_do_not_overlap_are_bound(
    bind: Bind, places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        named = [each.format(free.getsockname()[1]) for each in places]
    assert len(bind(bind=named)) == 2
    sockets.unlink(config(bind=named))


def test_one_place_may_be_string(bind: Bind) -> None:
    (sock,) = bind(bind="127.0.0.1:0")
    assert sock.getsockname()[0] == "127.0.0.1"


@needs_ipv6
def test_place_without_host_binds_every_interface(bind: Bind) -> None:
    bound = bind(bind=[":0"])
    assert {sock.getsockname()[0] for sock in bound} == {"0.0.0.0", "::"}


def test_nothing_stays_bound_if_one_place_fails(path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = ["127.0.0.1:0", f"unix:{path}", f"127.0.0.1:{taken.getsockname()[1]}"]
        with pytest.raises(StartupError, match="address already in use"):
            sockets.bind(config(bind=places))
    assert not os.path.exists(path)


def test_live_unix_socket_among_several_is_not_stolen(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen()
        with pytest.raises(StartupError, match="address already in use"):
            sockets.bind(config(bind=["127.0.0.1:0", f"unix:{path}"]))
        assert os.path.exists(path)


def test_bind_socket_accepts_one_place_only() -> None:
    with config(bind=["127.0.0.1:0"]).bind_socket() as sock:
        assert (sock.getsockname()[0], sock.get_inheritable()) == ("127.0.0.1", True)
    with pytest.raises(StartupError, match="names 2 places"):
        config(bind=["127.0.0.1:0", ":0"]).bind_socket()


@pytest.mark.parametrize("parameters", [{}, {"bind": ["127.0.0.1:0"]}], ids=["port", "bind"])
def test_line_has_https_with_tls(bind: Bind, tmp_path: Path, parameters: dict[str, Any]) -> None:
    bound = bind(**parameters)
    ((line, _),) = sockets.describe(bound, config(**parameters, ssl_certfile=tmp_path))
    assert line == f"Pronghorn running on https://127.0.0.1:{bound[0].getsockname()[1]} (Press CTRL+C to quit)"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no filter for sockets")
@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_withdrawn_address_keeps_accepted_connections(bind: Bind, host: str) -> None:
    (sock,) = bind(host=host)
    sock.listen()
    name = sock.getsockname()
    with socket.create_connection(name[:2]) as early, socket.socket(sock.family) as late:
        sockets.withdraw([sock], config(host=host))
        late.settimeout(0.2)
        with pytest.raises(TimeoutError):
            late.connect(name)
        early.sendall(b"question")
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            assert early.recv(100) == b"answer"
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.accept()


def test_withdrawn_path_keeps_accepted_connections(bind: Bind, path: str) -> None:
    (sock,) = bind(uds=path)
    sock.listen()
    with socket.socket(socket.AF_UNIX) as early, socket.socket(socket.AF_UNIX) as late:
        early.connect(path)
        sockets.withdraw([sock], config(uds=path))
        with pytest.raises(FileNotFoundError):
            late.connect(path)
        accepted, _ = sock.accept()
        with accepted:
            accepted.sendall(b"answer")
            assert early.recv(100) == b"answer"


def test_inherited_socket_is_never_withdrawn(bind: Bind) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    (sock,) = bound = bind(fd=given.detach())
    sockets.withdraw(bound, config(fd=sock.fileno()))
    with socket.create_connection(sock.getsockname(), timeout=20):
        pass


def test_socket_stays_open_without_filter_support(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    (sock,) = bound = bind()
    sock.listen()
    monkeypatch.setattr(sockets, "_SO_ATTACH_FILTER", 0x7FFF)
    sockets.withdraw(bound, config())
    with socket.create_connection(sock.getsockname(), timeout=20):
        pass


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("permissions", ["600", 0o640])
def test_mode_of_unix_socket_can_be_chosen(bind: Bind, path: str, stale: bool, permissions: int | str) -> None:
    if stale:
        bind(uds=path)[0].close()
    bind(bind=[f"unix:{path}"], uds_permissions=permissions)
    assert stat.S_IMODE(os.stat(path).st_mode) == (permissions if isinstance(permissions, int) else 0o600)


def test_named_sockets_are_inherited(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        numbers = [os.dup(each.fileno()) for each in (one, two)]
        monkeypatch.setattr(activation, "descriptors", {"web": numbers}.__getitem__)
        bound = bind(bind=["fd://web"])
        assert [each.getsockname() for each in bound] == [one.getsockname(), two.getsockname()]


def test_name_and_number_of_one_descriptor_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "descriptors", {"web": [98, 99]}.__getitem__)
    with pytest.raises(StartupError, match="--bind fd://web and --bind fd://99 overlap"):
        sockets.bind(config(bind=["fd://web", "fd://99"]))


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give files away")
def test_files_bound_here_can_be_given_away(bind: Bind, path: str) -> None:
    made = config(uds=path)
    bind(uds=path)
    sockets.give(made, 12345, 54321)
    status = os.stat(path)
    assert (status.st_uid, status.st_gid) == (12345, 54321)


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system cannot share a port")
@pytest.mark.parametrize("bind_again", ["bind", "bind_one"])
def test_port_is_shared_with_reuse_port(bind: Bind, bind_again: str) -> None:
    (first,) = bind(reuse_port=True)
    again = config(reuse_port=True, port=first.getsockname()[1])
    bound = getattr(sockets, bind_again)(again)
    (second,) = bound if isinstance(bound, list) else [bound]
    with second:
        assert second.getsockname() == first.getsockname()


def test_reuse_port_is_refused_where_the_system_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    for bind in (sockets.bind, sockets.bind_one):
        with pytest.raises(StartupError, match="cannot share a port between servers: remove --reuse-port"):
            bind(config(reuse_port=True))


@pytest.mark.parametrize(
    "where", [{"uds": "s"}, {"fd": 3}, {"bind": ["127.0.0.1:0", "unix:s"]}, {"bind": ["fd://web"]}]
)
def test_only_ports_are_shared(where: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="reuse_port needs a host and port"):
        config(reuse_port=True, **where)


@pytest.mark.parametrize("where", [{"bind": ["127.0.0.1:8123"]}, {"host": "127.0.0.1", "port": 8123}])
def test_metrics_listener_needs_another_place(where: dict[str, Any]) -> None:
    with pytest.raises(StartupError, match=r"--metrics-bind 127.0.0.1:8123 overlap"):
        sockets.bind(Config("main:app", log_config=None, metrics_bind="127.0.0.1:8123", **where))


def test_socket_of_systemd_is_not_ours_after_an_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given, given.dup() as other:
        sockets.offer([(sockets.Use(places.parse("fd://shop"), "requests", 0), other)])
        monkeypatch.setenv("LISTEN_PID", "1")
        bound = sockets.bind(config(bind=["fd://shop", "127.0.0.1:0"]))
        sockets.take_over()
        assert other in bound
        assert other not in sockets._bound
        for sock in bound:
            sock.close()
