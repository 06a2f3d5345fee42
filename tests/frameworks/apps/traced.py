"""An ASGI application behind OpenTelemetry's middleware. `/spans` shows the spans that have ended."""

import asyncio
import json

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
go_on = asyncio.Event()


async def serve(scope, receive, send):
    if scope["path"] == "/fail":
        raise ZeroDivisionError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
    await send({"type": "http.response.body", "body": b"last"})


traced = OpenTelemetryMiddleware(serve, tracer_provider=provider)


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/spans":
        spans = b"[%b]" % b",".join(span.to_json().encode() for span in exporter.get_finished_spans())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(json.loads(spans)).encode()})
    elif scope["type"] == "http" and scope["path"] == "/go-on":
        go_on.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    else:
        await traced(scope, receive, send)
