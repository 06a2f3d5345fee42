"""`python -m bench.preload`: the memory of a server with several workers, with and without `--preload`.

The memory is the sum of the proportional set sizes (PSS) of all processes of the server: what they share counts once.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

APPS = {"bench.app_fastapi:app": "/items/1?q=a", "bench.app_starlette:app": "/json"}

# Requests to each server before the look at its memory.
REQUESTS = 2000


def main() -> None:
    """Print a line for each application."""
    parser = argparse.ArgumentParser(prog="python -m bench.preload", description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="default %(default)s")
    workers = parser.parse_args().workers
    print(f"{'PSS with':<28}{workers} spawned {workers} forked   saved")
    for app, target in APPS.items():
        spawned, forked = (pss(app, target, workers, flags) for flags in ([], ["--preload"]))
        saved = 100 * (spawned - forked) // spawned
        print(f"{app:<28}{spawned / 1024:>5.1f} MiB {forked / 1024:>5.1f} MiB {saved:>4} %", flush=True)


def pss(app: str, target: str, workers: int, flags: list[str]) -> int:
    """The memory of all processes of a server after some requests, in KiB."""
    command = [sys.executable, "-m", "pronghorn", app, "--port", "0", "--no-access-log", "--log-level", "debug"]
    command += ["--workers", str(workers), *flags]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            port, serving = 0, 0
            while serving < workers:
                line = process.stderr.readline()
                if not line:
                    sys.exit("the server ended")
                serving += "] serves" in line
                if found := re.search(r"running on http://\S+:(\d+)", line):
                    port = int(found[1])
            for _ in range(REQUESTS):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}") as answer:
                    answer.read()
            return sum(map(pss_of, tree(process.pid)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()


def tree(pid: int) -> Iterator[int]:
    """The process and its descendants."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from tree(int(child))


def pss_of(pid: int) -> int:
    """The PSS of one process in KiB."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
