"""OpenTelemetry's ASGI middleware: a span describes its request, ends with it, and continues the client's trace."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.support.raw_client import Client
from tests.support.server import lacks, process

pytest.importorskip("opentelemetry.instrumentation.asgi")
pytest.importorskip("opentelemetry.sdk")

TESTS = Path(__file__).parent.parent
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NEW = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}


@pytest.fixture(params=["compiled", "interpreted"])
def serve(request):
    """A function that starts the application, and returns one that sends a request on a new connection."""
    if reason := lacks(request.param):
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:

        def serve(*flags):
            form = request.param
            place = ("--app-dir", str(TESTS))
            server = stack.enter_context(process("frameworks.apps.traced:app", *place, *flags, form=form, env=NEW))

            def connect():
                return stack.enter_context(contextlib.closing(Client(("127.0.0.1", server.port))))

            return server, connect

        yield serve


def ask(client, target, *fields):
    client.get(target, *fields)
    return client.read()


def spans(connect, kind="SpanKind.SERVER"):
    """The spans of that kind that have ended."""
    return [span for span in json.loads(ask(connect(), "/spans").body) if span["kind"] == kind]


def test_span_has_the_conventional_attributes(serve):
    _, connect = serve()
    assert ask(connect(), "/prices?page=2", "user-agent: probe").status == 200
    (span,) = spans(connect)
    attributes = span["attributes"]
    assert attributes["http.request.method"] == "GET"
    assert attributes["url.scheme"] == "http"
    assert attributes["url.path"] == "/prices"
    assert attributes["url.query"] == "page=2"
    assert attributes["network.protocol.version"] == "1.1"
    assert attributes["user_agent.original"] == "probe"
    assert attributes["client.address"] == "127.0.0.1"
    assert attributes["http.response.status_code"] == 200


def test_span_ends_with_the_response(serve):
    _, connect = serve()
    client = connect()
    client.get("/stream")
    assert client.read_head().status == 200
    assert spans(connect) == []
    assert ask(connect(), "/go-on").status == 204
    while b"last" not in (received := client.read_some()):
        assert received
    (span,) = spans(connect)
    assert span["attributes"]["url.path"] == "/stream"


def test_trace_of_the_client_continues(serve):
    _, connect = serve()
    ask(connect(), "/", f"traceparent: 00-{TRACE}-{SPAN}-01")
    (span,) = spans(connect)
    assert span["context"]["trace_id"] == f"0x{TRACE}"
    assert span["parent_id"] == f"0x{SPAN}"


def test_span_of_an_error_has_the_trace_of_its_log_line(serve):
    server, connect = serve("--log-format", "json")
    assert ask(connect(), "/fail", f"traceparent: 00-{TRACE}-{SPAN}-01").status == 500
    (span,) = spans(connect)
    assert span["status"]["status_code"] == "ERROR"
    line = json.loads(server.log.wait_for("^.*Exception in ASGI application.*$")[0])
    assert f"0x{line['trace_id']}" == span["context"]["trace_id"]
