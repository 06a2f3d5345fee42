"""The inputs that a run begins with: a file for each target, an input on each line, as Python writes bytes."""

from __future__ import annotations

import ast
from pathlib import Path

from fuzz.comparing import CUTS
from tests.support import corpus as cases

FOLDER = Path(__file__).parent / "inputs"
WHOLE = bytes(CUTS)


def read(target: str) -> list[bytes]:
    """The inputs of the file of `target`, which may not exist yet."""
    path = FOLDER / f"{target}.txt"
    return [ast.literal_eval(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def write(target: str, inputs: list[bytes]) -> None:
    """Replace the file of `target`."""
    lines = sorted(f"{each!r}\n" for each in inputs)
    (FOLDER / f"{target}.txt").write_text("".join(lines), "ascii")


def seeds(target: str) -> list[bytes]:
    """The cases of tests/corpus that `target` can read."""
    if target in ("heads", "connections"):
        prefix = WHOLE if target == "connections" else b""
        return [prefix + each.data for folder in ("valid", "refused") for each in cases.load(f"requests/{folder}")]
    if target == "http2":
        folders = ("connection", "stream", "refused", "valid")
        return [WHOLE + each.data for folder in folders for each in cases.load_frames(f"frames/{folder}")]
    return SEEDS.get(target, [])


SEEDS = {
    "bodies": [WHOLE + b"3\r\nabc\r\n0\r\n\r\n", WHOLE + b'3;a="b"\r\nabc\r\n00\r\nx: y\r\n\r\n'],
    "frames": [
        bytes((offer,)) + WHOLE + each
        for offer in range(3)
        for each in (
            b"\x81\x81\0\0\0\0a",
            b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b",
            b"\x89\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8",
        )
    ],
    # Section 7.2.3 of RFC 7692.
    "deflate": [b"\1\xf2H\xcd\xc9\xc9\7\0", b"\1\xf2H\xcd\xc9\xc9\7\0\n\n\1\xf2\0\x11\0\0"],
    "hpack": [
        bytes.fromhex("14828684410f7777772e6578616d706c652e636f6d06828684be5886a8"),
        bytes.fromhex("11828684418cf1e3c2e5f23a6ba0ab90f4ff0c828684be5886a8eb10649cbf"),
        b"\x05\x40\x01a\x01b\x01\xbe\x04\x3f\xe1\x1f\xbe",
    ],
    "proxies": [
        b"\x000-10.0.0.1, [::1]:80\n\x01https\n\x02a:8\n\x03443\n\x04/a%20b",
        b'\x05for="[::1]:4";proto=https;host=a, by=_x',
    ],
    "proxy_protocol": [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\nGET",
        b"PROXY TCP6 ::1 2001:db8::1 1 2\r\n",
        b"PROXY UNKNOWN a b\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\2\1\xc0\0\2\2\0\1\0\2\4\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ],
    "configuration": [
        bytes((index,)) + text
        for index in range(15)
        for text in (b"127.0.0.1:80", b"[::1]:0", b"unix:/a", b"75%", b"%(h)s %(m)s", b"0o640", b"x-a: b")
    ],
}
