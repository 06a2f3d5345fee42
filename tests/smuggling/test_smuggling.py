"""Some of the vectors through each front end that is installed: it and the server agree where requests end."""

import pytest

pytest.importorskip("hpack")

from tests.smuggling import vectors
from tests.smuggling.front_ends import FRONT_ENDS
from tests.smuggling.known import unknown
from tests.smuggling.trial import Outcome, attempt, trying
from tools.web_servers import program

EVERY = 31


@pytest.mark.parametrize("front", FRONT_ENDS, ids=lambda front: front.name)
def test_front_end_and_server_agree(front):
    if program(front.program) is None:
        pytest.skip(f"{front.program} is not installed")
    outcomes = attempt(front.name, EVERY)
    served = [key for key, outcome in outcomes.items() if outcome.text == "two"]
    assert served
    assert not [(key, outcome) for key, outcome in outcomes.items() if unknown(front.name, key, outcome)]


@pytest.mark.parametrize("front", FRONT_ENDS, ids=lambda front: front.name)
def test_request_inside_of_a_body_is_none(front):
    if program(front.program) is None:
        pytest.skip(f"{front.program} is not installed")
    (vector,) = [each for each in vectors.requests() if each.name == "a request in one"]
    with trying(front) as trial:
        assert trial.request(vector, False) == Outcome("two", [], [])
