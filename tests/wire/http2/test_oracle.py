"""The connection against an independent implementation: requests of any size, windows of any size, any split."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forms import FORMS, load_form
from tests.support.rig import Rig, read_body

pytest.importorskip("h2", reason="h2 is not installed")

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

ROUNDS = 5000


class Plan(NamedTuple):
    """A request with `upload` bytes, and its response of `parts`."""

    upload: int
    parts: list[int]
    has_trailers: bool
    is_padded: bool


PLANS = st.builds(
    Plan,
    upload=st.one_of(st.integers(0, 5), st.integers(0, 150_000)),
    parts=st.lists(st.one_of(st.integers(0, 5), st.integers(0, 100_000)), max_size=4),
    has_trailers=st.booleans(),
    is_padded=st.booleans(),
)


def content(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


class Client:
    """A client that h2 speaks for."""

    def __init__(self, plans: list[Plan], window: int, random: random.Random) -> None:
        self.connection = H2Connection(H2Configuration(client_side=True))
        self.connection.initiate_connection()
        self.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.random = random
        self.uploads: dict[int, bytes] = {}
        self.padding: dict[int, bool] = {}
        self.answers: dict[int, bytes] = {}
        self.trailers: dict[int, Any] = {}
        self.ended: set[int] = set()
        for plan in plans:
            number = self.connection.get_next_available_stream_id()
            fields = [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/" + ",".join(map(str, plan.parts))),
                *([("te", "trailers")] if plan.has_trailers else []),
            ]
            self.connection.send_headers(number, fields, end_stream=not plan.upload)
            self.uploads[number] = content(plan.upload)
            self.padding[number] = plan.is_padded
            self.answers[number] = b""

    def send(self) -> bytes:
        """Send as much as the windows allow; the bytes for the server."""
        for number, left in self.uploads.items():
            while left:
                padding = 7 if self.padding[number] else None
                window = self.connection.local_flow_control_window(number) - (8 if padding else 0)
                size = min(window, self.connection.max_outbound_frame_size - 8, len(left))
                if size <= 0:
                    break
                part, left = left[:size], left[size:]
                self.connection.send_data(number, part, end_stream=not left, pad_length=padding)
            self.uploads[number] = left
        return bytes(self.connection.data_to_send())

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            match event:
                case events.DataReceived():
                    self.answers[event.stream_id] += event.data
                    if event.flow_controlled_length:
                        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case events.TrailersReceived():
                    self.trailers[event.stream_id] = event.headers
                case events.StreamEnded():
                    self.ended.add(event.stream_id)
                case events.StreamReset() | events.ConnectionTerminated():
                    raise AssertionError(event)


async def application(request: Any) -> None:
    """Answer with the size of the body, then with the parts that the path names."""
    body = await read_body(request)
    assert body == content(len(body))
    has_trailers = "http.response.trailers" in request.scope["extensions"]
    await request.send({"type": "http.response.start", "status": 200, "headers": [], "trailers": has_trailers})
    await request.send({"type": "http.response.body", "body": b"%d;" % len(body), "more_body": True})
    for size in request.scope["path"][1:].split(","):
        await request.send({"type": "http.response.body", "body": content(int(size or 0)), "more_body": True})
    await request.send({"type": "http.response.body", "body": b""})
    if has_trailers:
        await request.send({"type": "http.response.trailers", "headers": [(b"x-end", b"1")]})


def pieces(data: bytes, random: random.Random) -> list[bytes]:
    """`data` in one piece, or in pieces of any size."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice((0, 0, 1, 5))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if end > start]


@pytest.mark.parametrize("form", FORMS)
@given(
    plans=st.lists(PLANS, min_size=1, max_size=6),
    window=st.sampled_from([1, 7, 1000, 65535, 1_000_000]),
    seed=st.integers(0, 1 << 30),
)
def test_every_request_is_answered(form: str, plans: list[Plan], window: int, seed: int) -> None:
    if window < 1000:
        plans = [plan._replace(parts=[min(size, 300) for size in plan.parts]) for plan in plans]
    wire = load_form(form)
    source = random.Random(seed)
    rig = Rig(wire, application, kind=wire.http2.connection.HTTP2Connection)
    client = Client(plans, window, source)
    for _ in range(ROUNDS):
        for piece in pieces(client.send(), source):
            rig.receive(piece)
            if source.random() < 0.3:
                rig.one_turn()
        rig.one_turn()
        written = b"".join(rig.writes)
        rig.writes.clear()
        for piece in pieces(written, source):
            client.receive(piece)
        if len(client.ended) == len(plans):
            break
    assert not rig.failures
    for number, plan in zip(client.answers, plans, strict=True):
        whole = b"%d;" % plan.upload + b"".join(map(content, plan.parts))
        assert client.answers[number] == whole
        assert (number in client.trailers) == plan.has_trailers
    rig.receive(client.send())
    rig.turn()
    assert rig.connection.streams == {}
    assert rig.connection.queued_content == 0
