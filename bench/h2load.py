"""HTTP/2 from h2load, which is part of nghttp2. It also speaks HTTP/1.1, to compare with."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pronghorn.bench.load import Load, LoadFailed

PROGRAM = "h2load"
# Its names with TLS and without.
HTTP2 = ("h2", "h2c")
HTTP1 = ("http/1.1",)


@dataclass(frozen=True)
class H2Load:
    """HTTP/2, over TLS if `secure`: each of the `connections` has `streams` requests under way.

    The requests have `fields`, and are POSTs with `upload` bytes if that is not 0. With `http1` it is HTTP/1.1:
    each connection then has one request under way.
    """

    connections: int = 8
    streams: int = 32
    fields: tuple[tuple[str, str], ...] = ()
    upload: int = 0
    secure: bool = False
    http1: bool = False

    def program(self, directory: Path) -> str:
        """The program to execute. Raises LoadFailed."""
        path = shutil.which(PROGRAM)
        if path is None:
            raise LoadFailed("h2load is not installed: it is part of nghttp2-client")
        return path

    def arguments(self, port: int, target: str, seconds: int) -> list[str]:
        """The arguments to load `target` at `port` for whole `seconds`."""
        fields = [part for name, value in self.fields for part in ("-H", f"{name}: {value}")]
        body = ["-d", file_of(self.upload).name] if self.upload else []
        url = f"{'https' if self.secure else 'http'}://127.0.0.1:{port}{target}"
        protocol = "--h1" if self.http1 else "--npn-list=h2"
        settings = ["-t1", f"-c{self.connections}", f"-m{self.streams}", f"-D{seconds}s", protocol]
        return [*settings, *fields, *body, url]


def read(output: str, protocols: Sequence[str] = HTTP2) -> Load:
    """Read the output of h2load, which has no percentiles. Raises LoadFailed, also for none of `protocols`."""
    protocol = re.search(r"^Application protocol: (\S+)$", output, re.MULTILINE)
    if protocol and protocol[1] not in protocols:
        raise LoadFailed(f"h2load spoke {protocol[1]}")
    rate = re.search(r"^finished in [^,]+, ([\d.]+) req/s", output, re.MULTILINE)
    counts = re.search(r"^requests: (.+)$", output, re.MULTILINE)
    traffic = re.search(r"^traffic: \S+ \((\d+)\) total", output, re.MULTILINE)
    if not (protocol and rate and counts and traffic):
        raise LoadFailed(f"no report in the output:\n{output.strip()}")
    requests = {kind: int(count) for count, kind in re.findall(r"(\d+) (\w+)", counts[1])}
    answered = requests["succeeded"]
    return Load(
        requests=answered,
        seconds=answered / float(rate[1]) if answered else 0.0,
        bytes=int(traffic[1]),
        p50_us=0,
        p99_us=0,
        # The failed include answers of 400 and above.
        errors={kind: count for kind in ("failed", "errored", "timeout") if (count := requests[kind])},
    )


def version() -> dict[str, str]:
    """Its version, if it is installed."""
    if shutil.which(PROGRAM) is None:
        return {}
    output = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, timeout=10).stdout
    return {PROGRAM: output.rpartition("/")[2].strip()}


@cache
def file_of(size: int) -> tempfile._TemporaryFileWrapper[bytes]:
    """A file of `size` bytes, which exists as long as this process."""
    file = tempfile.NamedTemporaryFile(prefix="pronghorn-bench-")  # noqa: SIM115
    file.write(b"x" * size)
    file.flush()
    return file
