"""`pronghorn check`: load, start and stop an application, and show how it would be served."""

from __future__ import annotations

import asyncio
import logging
import zlib
from typing import Any

from pronghorn import backend
from pronghorn.application.lifespan import Lifespan
from pronghorn.config import HTTP_PROTOCOLS, Config, trusted_proxies
from pronghorn.config.parameters import PARAMETERS
from pronghorn.errors import StartupError
from pronghorn.listen import places, sockets
from pronghorn.listen.places import Place
from pronghorn.metrics import listener
from pronghorn.process import privileges
from pronghorn.process.limits import ProcessLimits
from pronghorn.server import https_redirect
from pronghorn.supervisor import nursery, worker_handle


def check(app: Any, **parameters: Any) -> None:
    """Import, start and stop `app`, then print how it would be served. The parameters are those of `Config`.

    Raises StartupError if it cannot be served.
    """
    checked = Config(app, **parameters)
    if checked.use_subprocess:
        worker_handle.ensure_picklable(checked)
        if checked.preload:
            nursery.check(checked)
    ProcessLimits(checked)  # raises if the system lacks what they need
    privileges.identify(checked)
    _check_listeners(checked)
    checked.load()
    with asyncio.Runner(loop_factory=checked.get_loop_factory()) as runner:
        runner.run(_live(checked))
        loop = type(runner.get_loop()).__module__.partition(".")[0]
    for name, text in _findings(checked, loop).items():
        print(f"{name:<12} {text}")


def _check_listeners(checked: Config) -> None:
    """Raises StartupError if a listener lacks what it needs, or has the place of another."""
    sockets.refuse_overlaps(checked, is_service=False)
    if checked.https_redirect is not None:
        https_redirect.addresses_of(checked)
    if checked.metrics_bind is not None and not checked.reload:
        listener.ensure_available()
    if checked.proxy_protocol:
        trusted_proxies.of(checked)


async def _live(checked: Config) -> None:
    """Run the lifespan: startup, then shutdown."""
    lifespan = Lifespan(checked.loaded_app, checked.lifespan or "auto", logging.getLogger("pronghorn.error"))
    await lifespan.startup()
    await lifespan.shutdown()
    if lifespan.failed:
        raise StartupError("The application starts, but fails to shut down.")


def _findings(checked: Config, loop: str) -> dict[str, str]:
    scheme = "https" if checked.is_ssl else "http"
    return {
        "application": f"{checked.app} ({checked.interface})",
        "address": ", ".join(_address(place, scheme) for place in places.of(checked)),
        "workers": _workers(checked),
        "limits": ", ".join(_limits(checked)) or "the defaults",
        "wire": _wire(checked),
        "loop": loop,
        "deflate": _deflate(checked),
        "TLS": _tls(checked),
        "HTTP/2": "on" if checked.http2 else "off",
        "redirect": ", ".join(_address(place, "http") for place in places.of_redirect(checked)) or "off",
        "PROXY": _proxy_protocol(checked),
        "health": checked.health_path or "off",
    }


def _workers(checked: Config) -> str:
    if checked.reload:
        return "1, restarted when a file changes"
    return f"{checked.workers} threads" if checked.use_threads else str(checked.workers)


def _address(place: Place, scheme: str) -> str:
    if place.descriptor is not None:
        return f"descriptor {place.descriptor}"
    if place.name is not None:
        return f"socket {place.name} from systemd"
    if place.path is not None:
        return f"unix socket {place.path}"
    host = place.host or "*"
    url = f"{scheme}://[{host}]" if ":" in host else f"{scheme}://{host}"
    return f"{url}:{place.port}" if place.port else f"{url}, on a free port"


def _limits(checked: Config) -> list[str]:
    """The limits that differ from their defaults, as flags."""
    return [
        f"{parameter.flag} {0 if value is None else value}"
        for name, parameter in PARAMETERS.items()
        if parameter.is_limit and (value := getattr(checked, name)) != parameter.default
    ]


def _wire(checked: Config) -> str:
    return backend.load(checked.http).name if checked.http in HTTP_PROTOCOLS else str(checked.http)


def _deflate(checked: Config) -> str:
    if not checked.ws_per_message_deflate or checked.ws_protocol_class is None:
        return "off"
    return "zlib" if backend.load_compression().compressobj is zlib.compressobj else "isal"


def _tls(checked: Config) -> str:
    if not checked.is_ssl:
        return "off"
    import ssl

    from pronghorn.listen import server_names, tls_server

    found = [tls_server.engine(checked), ssl.OPENSSL_VERSION]
    found += [f"SNI {each.name}" for each in server_names.parse(checked.ssl_sni or ())]
    if checked.hsts is not None:
        found.append(f"HSTS {checked.hsts} s")
    return ", ".join(found)


def _proxy_protocol(checked: Config) -> str:
    if not checked.proxy_protocol:
        return "off"
    trusted = checked.forwarded_allow_ips or ()
    return f"on, from {trusted if isinstance(trusted, str) else ','.join(trusted)}"
