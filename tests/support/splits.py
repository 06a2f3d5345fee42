"""The pieces in which a parser may receive the same bytes."""

from __future__ import annotations


def three_ways(data: bytes, tail: bytes) -> dict[str, list[bytes]]:
    """`data` whole, byte by byte, and followed by `tail`."""
    return {
        "whole": [data],
        "byte by byte": [data[index : index + 1] for index in range(len(data))],
        "with a tail": [data + tail],
    }
