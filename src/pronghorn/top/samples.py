"""A sample: everything that a metrics listener says at one time."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from pronghorn.listen.places import Place

# Seconds to wait for each part of an answer.
PATIENCE = 3

# A listener on every interface is reached at one address.
_REACHED_AT = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}

Key: TypeAlias = tuple[str, ...]
"""The name of a metric's sample, then the values of its labels."""


class NoAnswer(Exception):
    """The server cannot be read. The message is the reason."""


class Worker(NamedTuple):
    """A process that serves; `age` in seconds."""

    pid: int
    state: str
    age: float


@dataclass(frozen=True)
class Sample:
    """The state of a server at `at`, in seconds of the monotonic clock."""

    at: float
    phase: str
    version: str
    workers: list[Worker]
    counters: dict[Key, float]
    """The cells of histograms, too."""
    gauges: dict[Key, float]


def take(place: Place) -> Sample:
    """Read the listener at `place`. Raises NoAnswer."""
    connection = _connection(place)
    try:
        health = _get(connection, "/health", (200, 503))
        metrics = _get(connection, "/metrics", (200,))
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: of a name that no host can have
        raise NoAnswer(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
    finally:
        connection.close()
    try:
        return read(time.monotonic(), health, metrics)
    except (ValueError, TypeError, KeyError):
        raise NoAnswer("this is not a metrics listener of pronghorn") from None


def read(at: float, health: bytes, metrics: bytes) -> Sample:
    """A sample from the bodies of both answers. Raises ValueError, TypeError or KeyError if they are something else."""
    told: Any = json.loads(health)
    counters: dict[Key, float] = {}
    gauges: dict[Key, float] = {}
    for family in text_string_to_metric_families(metrics.decode()):
        kept = gauges if family.type == "gauge" else counters
        kept.update({(each.name, *each.labels.values()): each.value for each in family.samples})
    workers = [Worker(int(each["pid"]), str(each["state"]), float(each["age"])) for each in told["workers"]]
    return Sample(at, str(told["status"]), str(told["version"]), workers, counters, gauges)


def _get(connection: http.client.HTTPConnection, path: str, expected: Collection[int]) -> bytes:
    connection.request("GET", path)
    response = connection.getresponse()
    if response.status not in expected:
        raise NoAnswer(f"it answers {path} with {response.status}: this is not a metrics listener of pronghorn")
    return response.read()


def _connection(place: Place) -> http.client.HTTPConnection:
    if place.path is not None:
        return _UnixConnection(place.path)
    host = place.host or ""
    return http.client.HTTPConnection(_REACHED_AT.get(host, host), place.port, timeout=PATIENCE)


class _UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        if sys.platform != "win32":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE)
            self.sock.connect(self._path)
        else:
            raise OSError("this system has no Unix sockets")
