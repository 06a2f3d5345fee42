"""Applications of real frameworks with a real client."""

import hashlib
import json

import httpx
import pytest

pytest.importorskip("starlette")


@pytest.fixture
def client():
    with httpx.Client(timeout=10) as client:
        yield client


@pytest.fixture
def starlette(shared_servers, variant):
    return shared_servers("starlette_app:app", *variant).url


@pytest.fixture
def fastapi(shared_servers, form):
    pytest.importorskip("fastapi")
    return shared_servers("fastapi_app:app", form).url


@pytest.fixture
def django(shared_servers, form):
    pytest.importorskip("django")
    return shared_servers("django_app:app", form).url


@pytest.mark.parametrize("prefix", ["", "/stamped", "/zipped"])
def test_starlette_returns_json_and_lifespan_state(starlette, client, prefix):
    answer = client.get(f"{starlette}{prefix}/show?a=1")
    assert answer.json() == {"method": "GET", "query": {"a": "1"}, "word": "from the lifespan"}
    assert answer.headers.get("x-stamp") == ("stamped" if prefix == "/stamped" else None)


@pytest.mark.parametrize("prefix", ["", "/stamped", "/zipped"])
def test_starlette_streams(starlette, client, prefix):
    answer = client.get(f"{starlette}{prefix}/stream")
    assert answer.text.split() == [str(number) for number in range(100)]
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers.get("content-encoding") == ("gzip" if prefix == "/zipped" else None)


@pytest.mark.parametrize("prefix", ["", "/stamped"])
def test_starlette_forwards_chunked_body(starlette, client, prefix):
    answer = client.get(f"{starlette}{prefix}/forwarded")
    assert (answer.status_code, answer.text) == (200, "from elsewhere")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("prefix", ["", "/stamped"])
def test_starlette_sends_file(starlette, client, prefix):
    answer = client.get(f"{starlette}{prefix}/file")
    assert answer.headers["content-length"] == "3000000"
    assert answer.content == bytes(range(250)) * 12000


def test_starlette_sends_file_through_gzip_middleware(starlette, client):
    answer = client.get(f"{starlette}/zipped/file")
    assert answer.content == bytes(range(250)) * 12000


def test_starlette_sends_range_of_file(starlette, client):
    answer = client.get(f"{starlette}/file", headers={"range": "bytes=250-499"})
    assert answer.status_code == 206
    assert answer.content == bytes(range(250))


def test_starlette_answers_head_for_file(starlette, client):
    answer = client.head(f"{starlette}/file")
    assert answer.headers["content-length"] == "3000000"
    assert client.get(f"{starlette}/show").status_code == 200


@pytest.mark.parametrize("prefix", ["", "/stamped"])
def test_starlette_takes_upload(starlette, client, prefix):
    pytest.importorskip("python_multipart")
    content = bytes(range(256)) * 8192
    files = {"file": ("a name.bin", content)}
    answer = client.post(f"{starlette}{prefix}/upload", files=files, data={"word": "ü"})
    assert answer.json() == {"name": "a name.bin", "word": "ü", "sha256": hashlib.sha256(content).hexdigest()}


def test_starlette_background_task_does_not_delay_response(starlette, client):
    assert client.get(f"{starlette}/background").text == "answered"
    assert client.get(f"{starlette}/background-done").text == "worked"


@pytest.mark.parametrize("prefix", ["", "/stamped"])
def test_starlette_events_end_at_disconnect(start, variant, client, prefix):
    server = start("starlette_app:app", "--loop", variant[1], form=variant[0])
    with client.stream("GET", f"{server.url}{prefix}/ticks") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: 0"
    assert client.get(f"{server.url}/ticks-left").json()[0] in ("CancelledError", "GeneratorExit")
    server.signal()
    server.wait()
    assert "ERROR" not in server.log.text()


def test_starlette_notices_truncated_body(start, connect, client, variant):
    server = start("starlette_app:app", "--loop", variant[1], form=variant[0])
    raw = connect(server)
    raw.get("/partial", "content-length: 100", method="POST")
    raw.send(b"begin")
    raw.close()
    assert client.get(f"{server.url}/ticks-left").json() == ["ClientDisconnect"]


@pytest.mark.parametrize("prefix", ["", "/stamped"])
def test_starlette_knows_that_client_is_connected(starlette, client, prefix):
    assert client.get(f"{starlette}{prefix}/disconnected").json() is False


@pytest.mark.parametrize("prefix", ["", "/stamped"])
def test_starlette_error_is_answered_500(starlette, connect, shared_servers, variant, prefix):
    raw = connect(shared_servers("starlette_app:app", *variant))
    raw.get(f"{prefix}/fail")
    answer = raw.read()
    assert answer.status == 500
    assert answer.body == b"Internal Server Error"


def test_starlette_closes_as_announced_after_error(starlette, connect, shared_servers, variant):
    raw = connect(shared_servers("starlette_app:app", *variant))
    raw.get("/fail")
    answer = raw.read()
    if answer.field("connection") == "close":
        assert raw.rest() == b""
    else:
        raw.get("/show")
        assert raw.read().status == 200


def test_fastapi_reads_path_and_query(fastapi, client):
    assert client.get(f"{fastapi}/items/7?brief=true").json() == {"number": 7, "brief": True}


def test_fastapi_refuses_invalid_path(fastapi, client):
    assert client.get(f"{fastapi}/items/seven").status_code == 422


def test_fastapi_runs_function_in_thread(fastapi, client):
    assert client.get(f"{fastapi}/in-a-thread/7").json() == {"number": 7}


def test_fastapi_reads_body_and_lifespan_state(fastapi, client):
    answer = client.post(f"{fastapi}/orders", json={"name": "apple", "count": 5})
    assert answer.status_code == 201
    assert answer.json() == {"total": 15}


def test_fastapi_http_exception_sets_status(fastapi, client):
    answer = client.post(f"{fastapi}/orders", json={"name": "pear"})
    assert answer.status_code == 404
    assert answer.json() == {"detail": "no such thing"}


def test_fastapi_serves_its_schema(fastapi, client):
    assert "/orders" in client.get(f"{fastapi}/openapi.json").json()["paths"]


def test_django_answers_get(django, client):
    answer = client.get(f"{django}/show?a=1")
    assert answer.json() == {"method": "GET", "path": "/show", "query": {"a": "1"}}
    assert len(answer.headers.get_list("set-cookie")) == 2


def test_django_reads_form(django, client):
    assert client.post(f"{django}/form", data={"a": "ü"}).json() == {"a": "ü"}


def test_django_takes_upload(django, client):
    content = bytes(range(256)) * 8192
    answer = client.post(f"{django}/upload", files={"file": ("a.bin", content)})
    assert answer.json() == {"size": 2 << 20, "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("target", ["stream", "stream-async"])
def test_django_streams(django, client, target):
    assert client.get(f"{django}/{target}").text.split() == [str(number) for number in range(100)]


def test_django_serves_async_view(django, client):
    assert client.get(f"{django}/in-the-loop").text == "async"


def test_django_error_is_answered_500(django, client):
    assert client.get(f"{django}/fail").status_code == 500


def test_django_answers_many_requests_on_one_connection(django, client):
    assert [client.get(f"{django}/in-the-loop").text for _ in range(50)] == ["async"] * 50


def test_django_starts_without_lifespan(django, client, shared_servers, form):
    server = shared_servers("django_app:app", form)
    server.log.wait_for("^INFO:     ASGI 'lifespan' protocol appears unsupported.$")


def test_wsgi_application_gets_environ_and_body(start, client, form):
    pytest.importorskip("a2wsgi")
    server = start("asgi2_and_wsgi:wsgi", "--interface", "wsgi", form=form)
    answer = client.post(f"{server.url}/a%20path?q=1", content=b"a body")
    assert answer.json() == {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/a path",
        "QUERY_STRING": "q=1",
        "SCRIPT_NAME": "",
        "SERVER_PORT": str(server.port),
        "body": "a body",
    }


def test_wsgi_application_gets_root_path(start, client):
    pytest.importorskip("a2wsgi")
    server = start("asgi2_and_wsgi:wsgi", "--interface", "wsgi", "--root-path", "/below")
    told = client.get(f"{server.url}/here").json()
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("/below", "/here")


@pytest.mark.parametrize("flags", [(), ("--interface", "asgi2")])
def test_asgi2_application_gets_scope_and_body(start, client, form, flags):
    server = start("asgi2_and_wsgi:ASGI2", *flags, form=form)
    answer = client.post(f"{server.url}/", content=b"a body")
    assert answer.headers["x-method"] == "POST"
    assert answer.content == b"a body"


def test_root_path_is_part_of_path(start, client):
    server = start("asgi:app", "--root-path", "/below")
    scope = client.get(f"{server.url}/here?x").json()
    assert scope["root_path"] == "/below"
    assert scope["path"] == "/below/here"
    assert scope["raw_path"] == repr(b"/below/here")
    assert json.loads(client.get(f"{server.url}/form").text)["name"]
