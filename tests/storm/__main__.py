"""A storm on each loop and each kind of TLS: `python -m tests.storm --seconds 60 --loop uvloop --tls none ssl`.

Prints the faults and exits with 1 if a server fails.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from tests.storm.harness import PATIENCE, Storm, weather
from tests.storm.honest import SESSIONS
from tests.storm.hostile import ACTS, TLS_ACTS
from tests.support.certificates import Certificates
from tests.support.server import FORMS

_LOOPS = ["asyncio"] + ["uvloop"] * (find_spec("uvloop") is not None)
_TLS = ["none", "ssl"] + ["aiofastnet"] * (find_spec("aiofastnet") is not None)


def main() -> None:
    kinds = sorted({*SESSIONS, *ACTS, *TLS_ACTS})
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of each storm")
    parser.add_argument("--loop", nargs="+", choices=_LOOPS, default=_LOOPS, help="default: all that are installed")
    parser.add_argument("--tls", nargs="+", choices=_TLS, default=_TLS, help="none, or the engine; default: all")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--form", choices=list(FORMS), default="compiled")
    parser.add_argument("--filter", action="store_true", help="a logging filter that fails for some requests")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for what an honest client wants")
    parser.add_argument("--seed", type=int, help="of what the clients choose; default: a new one")
    parser.add_argument("--log", type=argparse.FileType("w"), help="write what the servers log to this file")
    parser.add_argument("--without", nargs="*", choices=kinds, default=[], help="kinds of clients to leave out")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.randrange(1 << 32)
    common = {name: getattr(asked, name) for name in ("workers", "form", "filter", "seconds", "patience")}
    weathered = True
    with tempfile.TemporaryDirectory() as directory:
        certificates = Certificates(Path(directory))
        for loop in asked.loop:
            for tls in asked.tls:
                storm = Storm(loop=loop, tls=tls, seed=seed, without=tuple(asked.without), **common)
                weathered &= _tell(storm, certificates, asked.log)
    sys.exit(not weathered)


def _tell(storm: Storm, certificates: Certificates, log: TextIO | None) -> bool:
    print(f"=== {storm}", flush=True)
    began = time.monotonic()
    report = weather(storm, certificates)
    if log is not None:
        log.write(f"=== {storm}\n{report.log}\n")
    for figure in report.figures:
        print(f"    {figure}")
    for fault in report.faults:
        print(f"!!! {fault}")
    result = f"{len(report.faults)} faults" if report.faults else "weathered"
    print(f"=== {result} in {time.monotonic() - began:.0f} s\n", flush=True)
    return not report.faults


if __name__ == "__main__":
    main()
