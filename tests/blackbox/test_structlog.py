"""structlog, configured as users do for uvicorn."""

import json

import pytest

pytest.importorskip("structlog")


def test_structlog_formats_requests_and_server_lines(start, connect):
    server = start("structlog_app:app")
    client = connect(server)
    client.get("/a%20b?c=%41")
    assert client.read().body == b"ok"
    line = server.log.wait_for(r".*api\.access.*")[0]
    request = json.loads(line)
    host, port = client.socket.getsockname()
    assert request["event"] == f'{host}:{port} - "GET /a%20b?c=%41" 200'
    assert (request["http"], request["request_id"]) == ({"url": "/a%20b?c=%41", "status_code": 200}, "1")
    running = json.loads(server.log.wait_for(r".*running on.*")[0])
    assert running["logger"] == "pronghorn.error"
    assert server.access.text() == ""
