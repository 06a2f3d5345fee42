"""The cases of Autobahn|Testsuite against both forms, but for most of those that compress, which take minutes."""

import pytest

from tests.autobahn.outcome import GROUPS, read
from tests.autobahn.runners import find_kosoku, run_kosoku
from tests.autobahn.serving import FORMS, serve
from tests.support.server import PATIENCE, lacks

pytestmark = pytest.mark.skipif(find_kosoku() is None, reason="kosoku is not installed")

# 256 bytes, and 8 KiB in frames of 256 bytes: what takes little time.
SIZES = (3, 11)
CASES = {
    **{group: [f"{group}.*"] for group in GROUPS},
    12: [f"12.{data}.{size}" for data in range(1, 6) for size in SIZES],
    13: [f"13.{parameters}.{size}" for parameters in range(1, 8) for size in SIZES],
}


@pytest.fixture(scope="module", params=FORMS)
def url(request):
    """A server that echoes."""
    if reason := lacks(request.param):
        pytest.skip(reason)
    with serve(request.param) as url:
        yield url


@pytest.mark.parametrize("group", GROUPS)
def test_group(url, group, tmp_path):
    run_kosoku(url, tmp_path, CASES[group], at_once=4, timeout=6 * PATIENCE)
    outcomes = read(tmp_path)
    assert outcomes
    failures = [outcome.explain() for outcome in outcomes if outcome.verdict == "FAILED"]
    assert not failures, "\n".join(failures)
