"""The traceparent field (W3C Trace Context, section 3.2)."""

import pytest

from pronghorn.logging.trace_context import read

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("value", [VALID, f"00-{TRACE}-{SPAN}-00", f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-x"])
def test_ids_are_read(value):
    assert read([(b"host", b"a"), (b"traceparent", value.encode())]) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"{VALID}-x",
        f"{VALID} ",
        f"01-{TRACE}-{SPAN}-01x",
        VALID.upper(),
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN[1:]}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"01-{'0' * 32}-{SPAN}-01",
    ],
)
def test_invalid_field_has_no_ids(value):
    assert read([(b"traceparent", value.encode())]) is None


def test_two_fields_have_no_ids():
    assert read([(b"traceparent", VALID.encode())] * 2) is None


def test_request_without_field_has_no_ids():
    assert read([(b"host", b"a")]) is None
