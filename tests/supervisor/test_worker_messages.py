"""Messages from a worker to its parent."""

from __future__ import annotations

import pytest

from pronghorn.config import Config
from pronghorn.deadlines import FOREVER
from pronghorn.process.limits import Limit
from pronghorn.supervisor.worker_messages import (
    MAX_SIZE,
    Alive,
    LimitReached,
    Message,
    Serving,
    decode,
    encode,
    max_stop_time,
)


@pytest.mark.parametrize("message", [Alive(), Serving(), *map(LimitReached, Limit)], ids=str)
def test_encoded_message_decodes_to_itself(message: Message) -> None:
    data = encode(message)
    assert decode(data) == message
    assert len(data) <= MAX_SIZE


@pytest.mark.parametrize("data", [b"", b"?", b"AA", b"L", b"Lx"])
def test_unknown_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="unknown message"):
        decode(data)


def test_stop_time_covers_the_graceful_timeout_twice() -> None:
    assert max_stop_time(Config("main:app", log_config=None, timeout_graceful_shutdown=None)) == FOREVER
    assert max_stop_time(Config("main:app", log_config=None, timeout_graceful_shutdown=10)) > 20
