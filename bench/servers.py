"""The servers of the tables: those of the package, variants of them, and references that are no ASGI servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pronghorn.bench.servers import SERVERS as KNOWN
from pronghorn.bench.servers import Server

REFERENCES = ("floor", "nginx")

# The options of each server for TLS.
SECURE = {
    **dict.fromkeys(("pronghorn", "uvicorn"), "--ssl-certfile {certificate} --ssl-keyfile {key}"),
    **dict.fromkeys(("peregrine", "weft"), "--tls-cert {certificate} --tls-key {key}"),
    "granian": "--ssl-certificate {certificate} --ssl-keyfile {key}",
    **dict.fromkeys(("h2corn", "fastpysgi", "gunicorn", "hypercorn"), "--certfile {certificate} --keyfile {key}"),
}
# Out of the box, with the access log, which is off by default in most.
DEFAULT = {
    "pronghorn": "-m pronghorn {app} --port {port}",
    "uvicorn": "-m uvicorn {app} --port {port}",
    "peregrine": "-m peregrine {app} --port {port} --access-log",
    "weft": "-m weft {app} --port {port} --access-log",
    "granian": "-m granian {app} --port {port} --interface asgi --access-log",
    "h2corn": "-m h2corn {app} --port {port}",
    "saltare": "-m saltare {app} --port {port} --access-log",
    "m0serve": "-m m0serve {app} --host 127.0.0.1 --port {port} --access-log",
    "gunicorn": "-m gunicorn {app} --worker-class asgi --bind 127.0.0.1:{port} --access-logfile -",
    "daphne": "-m daphne {app} --port {port}",
    "hypercorn": "-m hypercorn {app} --bind 127.0.0.1:{port} --access-logfile -",
}
# Over HTTP/2, which weft, peregrine and h2corn speak without an option.
GRANIAN_HTTP1 = "--http 1 --http1-pipeline-flush"
HTTP2 = {
    "pronghorn": f"{KNOWN['pronghorn'].arguments} --http2",
    "granian": KNOWN["granian"].arguments.replace(GRANIAN_HTTP1, "--http 2"),
    # uvicorn's `--http zttp --http2` ends a connection after 4,096 streams, hypercorn after 1,000 requests.
    **{name: KNOWN[name].arguments for name in ("weft", "peregrine", "h2corn")},
}
ONE, TWO = "--workers 1", "--workers 2"


def every() -> Iterator[Server]:
    """All servers and their variants."""
    yield from KNOWN.values()
    for name, more in SECURE.items():
        yield replace(KNOWN[name], name=f"{name}-tls", arguments=f"{KNOWN[name].arguments} {more}")
    for name, arguments in HTTP2.items():
        yield replace(KNOWN[name], name=f"{name}-h2", arguments=arguments)
        yield replace(KNOWN[name], name=f"{name}-h2-tls", arguments=f"{arguments} {SECURE[name]}")
    for name, arguments in DEFAULT.items():
        yield replace(KNOWN[name], name=f"{name}-default", arguments=arguments)
    for name, server in KNOWN.items():
        if ONE in server.arguments:
            yield replace(server, name=f"{name}-2", arguments=server.arguments.replace(ONE, TWO))
    yield replace(
        KNOWN["fastpysgi"],
        name="fastpysgi-2",
        arguments="-c 'import fastpysgi; fastpysgi.server.num_workers = 2; fastpysgi.run_from_cli()'"
        " {app} --host 127.0.0.1 --port {port} --loglevel 4",
    )
    yield replace(KNOWN["pronghorn"], name="pronghorn-pure", environment={"PRONGHORN_PURE": "1"})
    yield replace(KNOWN["granian"], name="granian-ws", arguments=KNOWN["granian"].arguments.replace("--no-ws", "--ws"))
    # Its command line has no option for a certificate.
    yield replace(
        KNOWN["saltare"],
        name="saltare-tls",
        arguments="-c 'import saltare, sys; from bench import apps; saltare.run(apps.plain, port=int(sys.argv[1]),"
        " ssl_certfile=sys.argv[2], ssl_keyfile=sys.argv[3], max_concurrent_connections=16384, listen_backlog=16384,"
        " max_keepalive_requests=2147483647)' {port} {certificate} {key}",
    )
    secure_endpoint = "ssl:{port}:interface=127.0.0.1:backlog=2048:privateKey={key}:certKey={certificate}"
    yield replace(
        KNOWN["daphne"], name="daphne-tls", arguments=f"-m daphne {{app}} --endpoint {secure_endpoint} --verbosity 0"
    )
    yield Server("floor", "-m bench.floor --port {port}", ("uvloop",))
    yield Server("nginx", "-m bench.nginx --port {port} --directory {directory}", ())


SERVERS = {server.name: server for server in every()}
for secure in ("pronghorn-tls", "pronghorn-h2-tls"):
    SERVERS[secure] = replace(SERVERS[secure], needs=(*SERVERS["pronghorn"].needs, "aiofastnet"))
