"""Each attack for a moment: an honest client is served meanwhile, memory stays bounded, and nothing raises."""

import pytest

from tests.attacks.clients import ATTACKS, under
from tests.support.server import lacks, process

MIB = 1024 * 1024
CONNECTIONS = 4
# A connection may hold a mebibyte of unread bodies, and output: a mebibyte and a message of 64 KiB for each stream.
MOST = CONNECTIONS * 10 * MIB


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_honest_client_is_served_under_attack(attack):
    if reason := lacks():
        pytest.skip(reason)
    with process("attacked:app", "--http2", "--no-access-log") as server:
        if not server.has_memory():
            pytest.skip("the system does not tell the memory of a process")
        outcome = under(server, attack, CONNECTIONS, 1, rate=100)
    assert outcome.connections >= CONNECTIONS
    assert outcome.requests > 0
    assert outcome.failures == 0
    assert outcome.grown < MOST
    assert "Traceback" not in server.log.text()
