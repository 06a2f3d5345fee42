"""The cost of permessage-deflate with each compression module: `python -m bench.compression`.

One context for all messages of a kind, with the window and memory that pronghorn negotiates; the best of several
rounds.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import platform
import random
import time
import zlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

from pronghorn._wire.websocket.deflate import MEMORY_LEVEL, WINDOW_BITS
from pronghorn.bench import machine

MODULES = {"zlib": "zlib", "zlib-ng": "zlib_ng.zlib_ng", "isal": "isal.isal_zlib"}
ROUNDS = 7
TAIL = b"\x00\x00\xff\xff"


def main() -> None:
    """Print a table in Markdown."""
    where = "; ".join([*machine.describe().values(), f"CPython {platform.python_version()}", *versions()])
    print(f"`python -m bench.compression`, {datetime.date.today().isoformat()}, {where}\n")
    print("| messages | module | deflate us | inflate us | ratio |\n| --- | --- | ---: | ---: | ---: |")
    for name, messages in corpora().items():
        for title, module in MODULES.items():
            try:
                library = importlib.import_module(module)
            except ImportError:
                print(f"| {name} | {title} | not installed | | |")
                continue
            deflating, inflating, ratio = measure(library, messages)
            print(f"| {name} | {title} | {deflating:.1f} | {inflating:.1f} | {ratio:.3f} |")


def versions() -> list[str]:
    """The versions of the installed modules."""
    found = [f"zlib {zlib.ZLIB_RUNTIME_VERSION}"]
    for name in ("zlib-ng", "isal"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found


def corpora() -> dict[str, list[bytes]]:
    """Messages of a few sizes, the same in every run."""
    source = random.Random(1)

    def rows(count: int) -> bytes:
        names = ("alice", "bob", "carol")
        return json.dumps(
            [
                {"id": source.randrange(10**6), "name": source.choice(names), "price": source.random()}
                for _ in range(count)
            ]
        ).encode()

    return {
        "JSON, 60 B": [rows(1) for _ in range(2000)],
        "JSON, 1 KiB": [rows(17) for _ in range(500)],
        "JSON, 64 KiB": [rows(1100) for _ in range(20)],
        "random, 64 KiB": [source.randbytes(65536) for _ in range(10)],
    }


def measure(library: Any, messages: list[bytes]) -> tuple[float, float, float]:
    """Microseconds to deflate and to inflate a message, and the ratio of the sizes."""
    deflated: list[bytes] = []

    def deflate() -> None:
        deflater = library.compressobj(wbits=-WINDOW_BITS, memLevel=MEMORY_LEVEL)
        deflated[:] = [deflater.compress(each) + deflater.flush(zlib.Z_SYNC_FLUSH)[:-4] for each in messages]

    def inflate() -> None:
        inflater = library.decompressobj(wbits=-WINDOW_BITS)
        for each, message in zip(deflated, messages, strict=True):
            if inflater.decompress(each + TAIL, len(message) + 1) != message:
                raise ValueError(f"{library.__name__} does not restore its input")

    deflating, inflating = (best(work) / len(messages) * 1e6 for work in (deflate, inflate))
    return deflating, inflating, sum(map(len, deflated)) / sum(map(len, messages))


def best(work: Callable[[], None]) -> float:
    """The seconds of the quickest of several rounds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
