"""`python -m tools.balance`: print the share of each worker in connections that are made in several ways."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.balance.clients import WAYS, Answers

_ROOT = Path(__file__).parents[2]

# Seconds for the server to notice that the connections of the last trial are closed.
_SETTLING = 0.05

_TICKS = os.sysconf("SC_CLK_TCK")


class Served(NamedTuple):
    """A running server: its port and the process IDs of its workers."""

    port: int
    workers: list[int]


class Shares(NamedTuple):
    """The shares of the workers with the most and with the fewest connections, in percent."""

    most: float
    least: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.balance", description=__doc__)
    parser.add_argument("--workers", type=int, action="append", help="repeatable; default 2 and 4")
    parser.add_argument("--connections", type=int, default=64, help="default %(default)s")
    parser.add_argument("--trials", type=int, default=20, help="of each kind; default %(default)s")
    parser.add_argument("--loop", action="append", help="repeatable; default asyncio and uvloop")
    parser.add_argument("--way", action="append", choices=WAYS, help="of connecting; repeatable; default all")
    parser.add_argument("--separate", action="store_true", help="servers with --reuse-port, instead of workers")
    parser.add_argument("flags", nargs="*", help="options of the server, after --")
    options = parser.parse_args()
    print(
        f"{'workers':<9}{'loop':<9}{'load':<6}{'way':<12}{'most % worst':>14}{'median':>8}{'least % worst':>15}"
        f"{'median':>8}{'ms median':>11}{'p99':>7}{'CPU us':>8}"
    )
    kinds = itertools.product(options.workers or [2, 4], options.loop or ["asyncio", "uvloop"], ["idle", "busy"])
    for workers, loop, load in kinds:
        with _serving(workers, loop, load == "busy", options.separate, options.flags) as served:
            for way in options.way or WAYS:
                before = _cpu_time(served.workers)
                trials = [_try(way, served.port, options.connections) for _ in range(options.trials)]
                used = _cpu_time(served.workers) - before
                requests = sum(len(trial.workers) for trial in trials)
                cpu = f"{used / requests * 1e6:>8.0f}" if way == "short" and load == "idle" else ""
                print(f"{workers:<9}{loop:<9}{load:<6}{way:<12}{_described(trials, workers)}{cpu}", flush=True)


def _try(way: str, port: int, connections: int) -> Answers:
    answers = WAYS[way](port, connections)
    time.sleep(_SETTLING)
    return answers


def _described(trials: list[Answers], workers: int) -> str:
    shares = [_shares(trial, workers) for trial in trials]
    most, least = [each.most for each in shares], [each.least for each in shares]
    latencies = sorted(seconds * 1000 for trial in trials for seconds in trial.latencies)
    p99 = latencies[len(latencies) * 99 // 100]
    return (
        f"{max(most):>14.0f}{statistics.median(most):>8.0f}{min(least):>15.0f}{statistics.median(least):>8.0f}"
        f"{statistics.median(latencies):>11.2f}{p99:>7.2f}"
    )


def _shares(answers: Answers, workers: int) -> Shares:
    counts = [*Counter(answers.workers).values()]
    counts += [0] * (workers - len(counts))
    return Shares(100 * max(counts) / sum(counts), 100 * min(counts) / sum(counts))


@contextlib.contextmanager
def _serving(workers: int, loop: str, busy: bool, separate: bool, flags: list[str]) -> Iterator[Served]:
    port = _free_port()
    command = [sys.executable, "-m", "pronghorn", "tools.balance.app:app", "--port", str(port), "--loop", loop]
    command += ["--no-access-log", "--log-level", "debug", *flags]
    command += ["--reuse-port"] if separate else ["--workers", str(workers)]
    environment = {**os.environ, **({"BALANCE_LOAD": "1"} if busy else {})}
    servers = []
    try:
        served: list[int] = []
        for _ in range(workers if separate else 1):
            servers.append(subprocess.Popen(command, cwd=_ROOT, env=environment, stderr=subprocess.PIPE, text=True))
        for server in servers:
            served += [server.pid] if separate else []
            _wait_until_it_serves(server, served, 1 if separate else workers)
        yield Served(port, served)
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.communicate(timeout=60)


def _wait_until_it_serves(server: subprocess.Popen[str], served: list[int], workers: int) -> None:
    """Wait for the line of each worker, and add the process IDs to `served`; or for that of a single process."""
    assert server.stderr is not None
    lines = []
    for line in server.stderr:
        lines.append(line)
        if found := re.search(r"\[(\d+)\] serves", line):
            served.append(int(found[1]))
        if len(served) >= workers and (workers > 1 or "running on" in line):
            return
    sys.exit("".join(lines))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _cpu_time(pids: list[int]) -> float:
    """The seconds of processor time that the processes have used. Linux only."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS


if __name__ == "__main__":
    main()
