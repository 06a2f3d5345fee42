"""`--proxy-headers` as a middleware."""

from __future__ import annotations

from pronghorn import backend
from pronghorn.config import trusted_proxies
from pronghorn.types import ASGI3App, Receive, Scope, Send


class ProxyHeadersMiddleware:
    """Sets a scope's client and scheme from X-Forwarded-For and -Proto if the client is one of `trusted_hosts`.

    For applications behind a proxy, on any server. pronghorn does the same by default, so it needs
    `proxy_headers=False` there.
    """

    def __init__(self, app: ASGI3App, trusted_hosts: list[str] | str = "127.0.0.1") -> None:
        self.app = app
        self._proxies = backend.load().Proxies(trusted_proxies.read(trusted_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            client, server = (tuple(each) if each else None for each in (scope.get("client"), scope.get("server")))
            if self._proxies.trusts_peer(client, server):
                self._amend(scope)
        await self.app(scope, receive, send)

    def _amend(self, scope: Scope) -> None:
        origin = self._proxies.origin(list(scope["headers"]))
        if origin is None:
            return
        if origin.client is not None:
            scope["client"] = origin.client
        if origin.scheme is not None:
            is_websocket = scope["type"] == "websocket"
            scope["scheme"] = origin.scheme.replace("http", "ws") if is_websocket else origin.scheme
