"""An addition to the locustfile: `--record FILE` writes every request, unrounded.

Locust's own report gets a point for each second, and tenths of a millisecond where it would round to whole ones.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import locust.stats
from locust import events

locust.stats.HISTORY_STATS_INTERVAL_SEC = 1
locust.stats.CURRENT_RESPONSE_TIME_PERCENTILE_WINDOW = 3
locust.stats.PERCENTILES_TO_CHART = [0.5, 0.95, 0.99]
round_more = locust.stats.bucket_response_time
locust.stats.bucket_response_time = lambda milliseconds: (
    round(milliseconds, 1) if milliseconds < 10 else round_more(milliseconds)
)


@events.init_command_line_parser.add_listener
def add_record(parser: Any) -> None:
    """Let the command line say where to write."""
    parser.add_argument("--record", help="file for every request, as JSON")


@events.init.add_listener
def record(environment: Any, **_: Any) -> None:
    """Note when all users are there, what made one crash, and of each request when it ended, what it was, how many
    milliseconds it took, why it failed, and the CPU that locust had used by then. Times are of the monotonic clock.
    """
    if environment.parsed_options is None or environment.parsed_options.record is None:
        return
    spawned: list[float] = []
    crashes: list[str] = []
    requests: list[tuple[float, str, float, str | None, float]] = []

    def note(request_type: str, name: str, response_time: float, exception: Exception | None, **_: Any) -> None:
        error = None if exception is None else repr(exception)
        requests.append((time.monotonic(), f"{request_type} {name}", response_time, error, time.process_time()))

    def write(**_: Any) -> None:
        record = {"spawned": spawned[0] if spawned else None, "crashes": crashes, "requests": requests}
        Path(environment.parsed_options.record).write_text(json.dumps(record), encoding="utf-8")

    environment.events.request.add_listener(note)
    environment.events.spawning_complete.add_listener(lambda user_count: spawned.append(time.monotonic()))
    environment.events.user_error.add_listener(lambda exception, **_: crashes.append(repr(exception)))
    environment.events.quitting.add_listener(write)
