"""`--https-redirect`: a listener without TLS that sends clients to the server's https URLs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pronghorn.errors import StartupError
from pronghorn.listen import places
from pronghorn.server.side_listener import SideListener

if TYPE_CHECKING:
    from pronghorn.config import Config
    from pronghorn.types import ASGI3App, Receive, Scope, Send

_HTTPS = 443
# Not to be sent without TLS (RFC 6797 section 7.2).
_HSTS = "strict-transport-security"

# The parameters of the server that its redirect has too.
_PASSED_ON = (
    *("server_header", "date_header", "timeout_first_byte", "timeout_head"),
    *("limit_connections", "limit_connections_per_address", "limit_head_fields", "limit_target_size"),
)

_log = logging.getLogger("pronghorn.error")


def addresses_of(config: Config) -> list[str]:
    """The port `config.https_redirect` of each host of the server. Raises StartupError."""
    if not config.is_ssl:
        raise StartupError("--https-redirect needs TLS: --ssl-certfile is missing.")
    named = [place.as_text() for place in places.of_redirect(config)]
    if not named:
        raise StartupError("--https-redirect needs a server with a host and a port.")
    _only(place.port for place in places.of(config) if place.is_port())
    return named


@contextlib.contextmanager
def redirecting(config: Config, ports: Iterable[int]) -> Iterator[Callable[[], None]]:
    """Bind the addresses of the redirect to the server, which has `ports`. Yields the function that begins to answer.
    Default fields, limits on connections and heads, and timeouts are those of `config`; connections are counted apart.
    Raises StartupError.
    """
    addresses = addresses_of(config)
    listener = SideListener(
        "pronghorn-redirect",
        "redirect",
        addresses,
        _application(_only(ports)),
        headers=[field for field in config.headers or () if field[0].lower() != _HSTS],
        limit_head_size=config.head_size(),
        **{name: getattr(config, name) for name in _PASSED_ON},
    )
    with listener.bound() as bound:

        def begin() -> None:
            listener.begin()
            for address in bound:
                _log.info("Redirecting to HTTPS from %s", address)

        yield begin


def _only(ports: Iterable[int]) -> int:
    """The port of the https URLs. Raises StartupError if there are several."""
    port, *others = sorted(set(ports))
    if others:
        listed = ", ".join(str(each) for each in (port, *others))
        raise StartupError(f"--https-redirect needs one port for all hosts of the server, which has {listed}.")
    return port


def _application(port: int) -> ASGI3App:
    """Answers each request with its https URL. The server has checked that the host is well-formed."""
    suffix = "" if port == _HTTPS else f":{port}"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        host, path = _host(scope), scope["raw_path"].decode("ascii")
        if host and path.startswith("/"):
            query = scope["query_string"].decode("ascii")
            location = f"https://{host}{suffix}{path}{'?' if query else ''}{query}"
            await _answer(send, 308, f"Use {location}\n", [(b"location", location.encode("ascii"))])
        else:
            await _answer(send, 400, "Use https://, with a host.\n", [])

    return app


def _host(scope: Scope) -> str:
    """The host that the client asks for, without a port; empty if it names none."""
    value: str = dict(scope["headers"]).get(b"host", b"").decode("ascii")
    if value.startswith("["):
        return value.partition("]")[0] + "]"
    return value.partition(":")[0]


async def _answer(send: Send, status: int, text: str, fields: list[tuple[bytes, bytes]]) -> None:
    body = text.encode("ascii")
    described = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fields + described})
    await send({"type": "http.response.body", "body": body})
