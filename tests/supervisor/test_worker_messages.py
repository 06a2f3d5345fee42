"""Messages from a worker to its parent."""

from __future__ import annotations

from typing import get_args

import pytest

from pronghorn.config import Config
from pronghorn.supervisor.worker_messages import FOREVER, MAX_SIZE, Message, decode, encode, max_stop_time


@pytest.mark.parametrize("kind", get_args(Message))
def test_encoded_message_decodes_to_itself(kind: type[Message]) -> None:
    data = encode(kind())
    assert decode(data) == kind()
    assert len(data) <= MAX_SIZE


@pytest.mark.parametrize("data", [b"", b"?", b"AA"])
def test_unknown_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="unknown message"):
        decode(data)


def test_stop_time_covers_the_graceful_timeout_twice() -> None:
    assert max_stop_time(Config("main:app", log_config=None, timeout_graceful_shutdown=None)) == FOREVER
    assert max_stop_time(Config("main:app", log_config=None, timeout_graceful_shutdown=10)) > 20
