"""Middleware that reads, compresses or counts Starlette's responses, and applications that send files themselves:
every response is complete.
"""

import sys
from pathlib import Path

import httpx
import pytest

from tests.support.server import lacks, process

for module in ("starlette", "brotli_asgi", "zstd_asgi", "slowapi", "baize", "flask", "a2wsgi"):
    pytest.importorskip(module)

TESTS = Path(__file__).parent.parent
FILE = (Path(__file__).parent / "apps" / "static" / "file.txt").read_bytes()
STREAM = b"".join(b"%d\n" % number * 20 for number in range(50))

VARIANTS = [("compiled", "asyncio"), ("compiled", "uvloop"), ("interpreted", "asyncio")]


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def plain(request):
    form, loop = request.param
    if reason := lacks(form, loop):
        pytest.skip(reason)
    with process("frameworks.apps.middleware:app", "--app-dir", str(TESTS), "--loop", loop, form=form) as server:
        yield server.url


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def sending(request):
    form, loop = request.param
    if reason := lacks(form, loop):
        pytest.skip(reason)
    flags = ("--app-dir", str(TESTS), "--loop", loop, "--sendfile")
    with process("frameworks.apps.middleware:app", *flags, form=form) as server:
        yield server.url


def get(url, encoding="identity"):
    """Get a response and its raw content."""
    with httpx.Client(timeout=20, trust_env=False) as client:
        request = client.build_request("GET", url, headers={"accept-encoding": encoding})
        answer = client.send(request, stream=True)
        content = b"".join(answer.iter_raw())
        answer.close()
    return answer, content


def decompressed(answer, content):
    match answer.headers.get("content-encoding"):
        case "br":
            return pytest.importorskip("brotli").decompress(content)
        case "zstd":
            module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
            return pytest.importorskip(module).decompress(content)
        case None:
            return content
    raise AssertionError(answer.headers)


@pytest.mark.parametrize(("prefix", "encoding"), [("brotli", "br"), ("zstd", "zstd")])
@pytest.mark.parametrize("path", ["file", "static/file.txt", "stream"])
def test_compressed_response_decompresses_to_content(plain, prefix, encoding, path):
    answer, content = get(f"{plain}/{prefix}/{path}", encoding)
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == encoding
    assert decompressed(answer, content) == (STREAM if path == "stream" else FILE)


@pytest.mark.parametrize("prefix", ["brotli", "zstd", "limited", "limited-asgi", "reading"])
@pytest.mark.parametrize("path", ["file", "static/file.txt"])
def test_file_passes_through_middleware(plain, prefix, path):
    answer, content = get(f"{plain}/{prefix}/{path}")
    assert (answer.status_code, content) == (200, FILE)
    assert answer.headers["content-length"] == str(len(FILE))


@pytest.mark.parametrize("prefix", ["brotli", "zstd", "limited", "reading"])
def test_stream_passes_through_middleware(plain, prefix):
    answer, content = get(f"{plain}/{prefix}/stream")
    assert (answer.status_code, content) == (200, STREAM)


def test_middleware_sees_bytes_of_file(plain):
    answer, _ = get(f"{plain}/reading/file")
    assert answer.headers["x-size"] == str(len(FILE))


@pytest.mark.parametrize("prefix", ["limited", "limited-asgi"])
def test_file_has_rate_limit_fields(plain, prefix):
    answer, _ = get(f"{plain}/{prefix}/file")
    assert answer.headers["x-ratelimit-limit"] == "1000"


@pytest.mark.parametrize("prefix", ["brotli", "zstd", "limited", "reading"])
def test_forwarded_response_has_one_framing(plain, prefix):
    answer, content = get(f"{plain}/{prefix}/forwarded")
    assert (answer.status_code, content) == (200, b"from elsewhere")
    assert ("content-length" in answer.headers) + ("transfer-encoding" in answer.headers) == 1


@pytest.mark.parametrize("path", ["baize/file", "wsgi/file", "wsgi/static/file.txt"])
def test_mounted_application_sends_file(plain, path):
    answer, content = get(f"{plain}/{path}")
    assert (answer.status_code, content) == (200, FILE)


@pytest.mark.parametrize("path", ["baize/file", "wsgi/file", "limited/file"])
def test_file_is_sent_with_sendfile(sending, path):
    """baize sends a descriptor number, Starlette a path."""
    answer, content = get(f"{sending}/{path}")
    assert (answer.status_code, content) == (200, FILE)
