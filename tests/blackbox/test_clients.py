"""Real clients: httpx, aiohttp and curl."""

import asyncio
import hashlib
import io
import shutil
import subprocess

import pytest

PIECE = bytes(range(256)) * 256
LARGE = PIECE * 160  # 10 MiB


def digest_of(body):
    """The answer of /digest to a body."""
    return b"%d %s" % (len(body), hashlib.sha256(body).hexdigest().encode())


@pytest.fixture
def curl(tmp_path):
    """A function that runs curl and returns what it printed."""
    command = shutil.which("curl")
    if command is None:
        pytest.skip("curl is not installed")

    def curl(*arguments):
        run = subprocess.run([command, "--silent", "--show-error", "--max-time", "10", *arguments], capture_output=True)
        assert run.returncode == 0, run.stderr
        return run.stdout

    return curl


def test_httpx_sends_and_receives_large_bodies(asgi):
    httpx = pytest.importorskip("httpx")
    with httpx.Client(timeout=10) as client:
        assert client.post(f"{asgi.url}/digest", content=LARGE).content == digest_of(LARGE)
        assert client.get(f"{asgi.url}/stream?count=160").content == LARGE
        assert client.get(f"{asgi.url}/stream?count=160&length=1").content == LARGE


def test_httpx_sends_chunked_body(asgi):
    httpx = pytest.importorskip("httpx")
    parts = [PIECE[:size] for size in (1, 100, 65536, 3)]
    with httpx.Client(timeout=10) as client:
        assert client.post(f"{asgi.url}/digest", content=iter(parts)).content == digest_of(b"".join(parts))


def test_httpx_opens_many_connections_at_once(asgi):
    httpx = pytest.importorskip("httpx")

    async def main():
        async with httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=30)) as client:
            return await asyncio.gather(*(client.get(f"{asgi.url}/echo") for _ in range(100)))

    assert [answer.status_code for answer in asyncio.run(main())] == [200] * 100


def test_aiohttp_sends_and_receives_large_bodies(asgi):
    aiohttp = pytest.importorskip("aiohttp")

    async def main():
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as client:
            async with client.post(f"{asgi.url}/digest", data=io.BytesIO(LARGE)) as answer:
                assert await answer.read() == digest_of(LARGE)
            async with client.get(f"{asgi.url}/stream?count=160") as answer:
                assert await answer.read() == LARGE

    asyncio.run(main())


def test_aiohttp_sends_and_receives_at_once(asgi):
    aiohttp = pytest.importorskip("aiohttp")

    async def main():
        more = asyncio.Queue()

        async def parts():
            while part := await more.get():
                yield part

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as client:
            await more.put(b"first")
            async with client.post(f"{asgi.url}/echo-parts", data=parts()) as answer:
                assert await answer.content.readany() == b"first"
                await more.put(b"second")
                assert await answer.content.readany() == b"second"
                await more.put(None)
                assert await answer.content.readany() == b""

    asyncio.run(main())


def test_curl_gets_body(asgi, curl):
    assert curl(f"{asgi.url}/") == b"hello"


def test_curl_gets_stream_over_http10(asgi, curl):
    assert curl("--http1.0", f"{asgi.url}/stream?count=2") == PIECE * 2


def test_curl_head_gets_length(asgi, curl):
    assert b"content-length: 5\r\n" in curl("--head", f"{asgi.url}/")


def test_curl_waits_for_100_continue(asgi, curl, tmp_path):
    sent = tmp_path / "body"
    sent.write_bytes(LARGE)
    # Without the interim response curl would exceed its own time limit.
    flags = ("--include", "--expect100-timeout", "60", "-H", "Expect: 100-continue")
    out = curl(*flags, "-T", str(sent), f"{asgi.url}/digest")
    assert out.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert out.endswith(digest_of(LARGE))


def test_curl_uploads_in_chunks(asgi, curl, tmp_path):
    sent = tmp_path / "body"
    sent.write_bytes(LARGE)
    assert curl("-H", "Transfer-Encoding: chunked", "-T", str(sent), f"{asgi.url}/digest") == digest_of(LARGE)


def test_curl_sends_two_requests_on_one_connection(asgi, curl):
    each = ("--write-out", " %{num_connects} ", f"{asgi.url}/")
    out = curl(*each, "--next", *each)
    assert out == b"hello 1 hello 0 "
