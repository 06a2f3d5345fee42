"""The pieces in which a parser may receive the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise


def three_ways(data: bytes, tail: bytes) -> dict[str, list[bytes]]:
    """`data` whole, byte by byte, and followed by `tail`."""
    return {
        "whole": [data],
        "byte by byte": [data[index : index + 1] for index in range(len(data))],
        "with a tail": [data + tail],
    }


def split_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` in pieces that end at `cuts`, or at its end."""
    edges = [0, *sorted(min(index, len(data)) for index in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]
