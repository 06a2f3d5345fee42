"""The layout of a page: the cells, 64-bit integers, in which one process keeps its counters and gauges.

Each family of metrics has adjacent cells, one for each combination of its labels' values.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from pronghorn.constants import COMMON_METHODS

METHODS = (*COMMON_METHODS, "_OTHER")
"""Values of the label for a request's method."""

STATUSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Values of the label for a response's status, by its first digit: `none` if the client left before the response."""

BOUNDS = tuple(
    round(seconds * 1_000_000_000)
    for seconds in (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
)
"""Upper bounds of a histogram's buckets, in nanoseconds. One more bucket is without a bound."""

NANOSECONDS = 1e-9


class Kind(enum.Enum):
    COUNTER = enum.auto()
    GAUGE = enum.auto()
    HISTOGRAM = enum.auto()
    """Its cells are the buckets, which do not include each other, and the sum."""


class Samples(enum.Enum):
    WORKERS = enum.auto()
    PROCESSES = enum.auto()


@dataclass(frozen=True)
class Family:
    """One family: `first` is its first cell, a cell times `scale` is a value in the unit that its name ends with."""

    name: str
    kind: Kind
    help: str
    first: int
    scale: float = 1
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    samples: Samples | None = None
    """Of a gauge whose sum over workers says little: one for each worker, or for each process."""

    @property
    def size(self) -> int:
        if self.kind is Kind.HISTOGRAM:
            return len(BOUNDS) + 2
        return math.prod(len(values) for values in self.labels.values())


# Two cells are no metrics. The parent of a worker sets them to 1.
DRAINING = 0
"""The server is to be taken out of rotation."""
STOPPED = 1
"""The worker is to stop at once, even if a stop begins with a delay."""

FAMILIES: list[Family] = []


def _counter(name: str, text: str, scale: float = 1, /, **labels: tuple[str, ...]) -> int:
    return _add(Family(name, Kind.COUNTER, text, size(), scale, labels))


def _gauge(name: str, text: str, scale: float = 1, /, samples: Samples | None = None, **labels: tuple[str, ...]) -> int:
    return _add(Family(name, Kind.GAUGE, text, size(), scale, labels, samples))


def _histogram(name: str, text: str) -> int:
    return _add(Family(name, Kind.HISTOGRAM, text, size(), NANOSECONDS))


def _add(family: Family) -> int:
    FAMILIES.append(family)
    return family.first


def size() -> int:
    """The number of cells of a page."""
    return FAMILIES[-1].first + FAMILIES[-1].size if FAMILIES else STOPPED + 1


REASONS = (
    "malformed",
    "head_too_large",
    "target_too_long",
    "body_too_large",
    "timeout",
    "version",
    "unsupported",
    "concurrency",
    "http2",
    "http2_flood",
    "proxy_protocol",
    "connections",
    "connections_per_address",
    "websockets",
)
TIMEOUTS = ("first_byte", "head", "body", "write", "keep_alive", "ping", "settings", "body_rate", "request")
FIRST_BYTE, HEAD, BODY, WRITE, KEEP_ALIVE, PING, SETTINGS, BODY_RATE, REQUEST = range(len(TIMEOUTS))

PROTOCOLS = ("http1", "http2")
ACTIVITIES = ("active", "idle")

# Names of OpenTelemetry's semantic conventions for HTTP servers.
ACTIVE_REQUESTS = _gauge("http_server_active_requests", "Requests in progress.")
DURATION = _histogram("http_server_request_duration_seconds", "Time from a request's head to its response's last byte.")

TIME_TO_FIRST_BYTE = _histogram(
    "pronghorn_time_to_first_byte_seconds", "Time from a request's head to its response's first byte."
)
REQUESTS = _counter(
    "pronghorn_requests", "Requests that have ended, by method and class of status.", method=METHODS, status=STATUSES
)
CANCELLED = _counter("pronghorn_cancelled_responses", "Responses that were not complete when their client left.")
PROBES = _counter("pronghorn_health_probes", "Requests for the health path, which no other family counts.")
RECEIVED = _counter("pronghorn_received_bytes", "Bytes received from clients, decrypted.")
SENT = _counter("pronghorn_sent_bytes", "Bytes sent to clients, before encryption.")
REFUSED = _counter("pronghorn_refused_requests", "Requests that the server has refused, by reason.", reason=REASONS)
TIMED_OUT = _counter(
    "pronghorn_timeouts", "Clients and applications that were too slow, by the timeout.", kind=TIMEOUTS
)

ACCEPTED = _counter("pronghorn_accepted_connections", "Connections accepted.")
CONNECTIONS = _gauge(
    "pronghorn_connections", "Open connections, by protocol and state.", protocol=PROTOCOLS, state=ACTIVITIES
)
STREAMS = _gauge("pronghorn_http2_streams", "Open streams of HTTP/2.")
WEBSOCKETS = _counter("pronghorn_websockets", "WebSockets accepted.")
OPEN_WEBSOCKETS = _gauge("pronghorn_open_websockets", "Open WebSockets.")
WAITING = _gauge("pronghorn_waiting_requests", "Requests and WebSockets that wait because of --limit-concurrency.")

LAG = _histogram("pronghorn_event_loop_lag_seconds", "Delay of a timer that is due once a second.")
LATEST_LAG = _gauge("pronghorn_event_loop_latest_lag_seconds", "The latest such delay.", NANOSECONDS, Samples.WORKERS)
BLOCKS = _counter("pronghorn_event_loop_blocks", "Blocks of the event loop that --watchdog has reported.")
CPU = _counter("process_cpu_seconds", "Processor time, in user and system mode.", NANOSECONDS)
MEMORY = _gauge("process_resident_memory_bytes", "Resident memory.", 1, Samples.PROCESSES)
DESCRIPTORS = _gauge("process_open_fds", "Open file descriptors.", 1, Samples.PROCESSES)
COLLECTIONS = _counter(
    "python_gc_collections", "Runs of the garbage collector, by generation.", generation=("0", "1", "2")
)
