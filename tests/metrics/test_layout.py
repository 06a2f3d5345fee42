"""The layout of a page."""

import re

import pytest

from pronghorn.metrics import layout
from pronghorn.metrics.layout import FAMILIES, Kind


def test_families_are_adjacent_and_do_not_overlap():
    end = layout.STOPPED + 1
    for family in FAMILIES:
        assert family.first == end
        end += family.size
    assert layout.size() == end


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_name_is_one_of_prometheus_with_its_unit(family):
    assert re.fullmatch(r"[a-z0-9_]+", family.name)
    assert not family.name.endswith("_total")  # added for the exposition
    if family.scale == layout.NANOSECONDS:
        assert family.name.endswith("_seconds")


def test_histogram_has_buckets_one_without_bound_and_a_sum():
    sizes = {family.size for family in FAMILIES if family.kind is Kind.HISTOGRAM}
    assert sizes == {len(layout.BOUNDS) + 2}


def test_bounds_increase():
    assert list(layout.BOUNDS) == sorted(set(layout.BOUNDS))
