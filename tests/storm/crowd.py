"""A process of clients: `python -m tests.storm.crowd honest --port 8000`. Prints its results as JSON.

Honest clients finish their exchanges; hostile clients stop when their time is over.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import ssl
import time
from typing import Any

from tests.storm.hostile import ACTS, TLS_ACTS, Act
from tests.storm.link import LEFT, Place
from tests.storm.witness import Witness, attend

# Longer than any act takes.
_ACT_SECONDS = 10.0


async def _honest(place: Place, asked: argparse.Namespace) -> dict[str, Any]:
    from tests.storm.honest import SESSIONS

    end = time.monotonic() + asked.seconds
    witnesses = []
    async with asyncio.TaskGroup() as group:
        for kind, (session, count) in SESSIONS.items():
            if kind in asked.without:
                continue
            witness = Witness(kind, end, asked.patience, asked.rest)
            witnesses.append(witness)
            for number in range(count):
                rng = random.Random(f"{asked.seed} {kind} {number}")
                group.create_task(attend(session, place, witness, rng))
    return {witness.kind: witness.told() for witness in witnesses}


async def _hostile(place: Place, asked: argparse.Namespace) -> dict[str, Any]:
    acted: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    kinds = {**ACTS, **(TLS_ACTS if place.context else {})}
    kinds = {kind: acts for kind, acts in kinds.items() if kind not in asked.without}
    actors = [
        asyncio.create_task(
            _act(acts, place, random.Random(f"{asked.seed} {kind} {number}"), kind, asked.rest, acted, failures)
        )
        for kind, (acts, count) in kinds.items()
        for number in range(count)
    ]
    await asyncio.sleep(asked.seconds)
    for actor in actors:
        actor.cancel()
    await asyncio.wait(actors)
    return {
        kind: {"acts": acted[kind], "failures": [each for each in failures if each.startswith(kind)]} for kind in kinds
    }


async def _act(
    acts: tuple[Act, ...],
    place: Place,
    rng: random.Random,
    kind: str,
    rest: float,
    acted: collections.Counter[str],
    failures: list[str],
) -> None:
    """Run one act after the other until cancelled. Record unexpected errors of an act as failures."""
    while True:
        act = rng.choice(acts)
        try:
            async with asyncio.timeout(_ACT_SECONDS):
                await act(place, rng)
        except LEFT:
            pass
        except Exception as error:
            failures.append(f"{kind}: {act} is broken: {error!r}")
        acted[kind] += 1
        await asyncio.sleep(rng.uniform(0, 2 * rest))


def _place(asked: argparse.Namespace) -> Place:
    if not asked.authority:
        return Place(asked.port)
    context, http2_context = (ssl.create_default_context(cafile=asked.authority) for _ in range(2))
    http2_context.set_alpn_protocols(["h2"])
    return Place(asked.port, context, http2_context)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.storm.crowd", description=__doc__)
    parser.add_argument("nature", choices=["honest", "hostile"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--authority", help="file of the certificate that the server's comes from, where it speaks TLS")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--patience", type=float, default=20, help="seconds for anything that an honest client wants")
    parser.add_argument("--rest", type=float, required=True, help="mean seconds between two sessions or acts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", nargs="*", default=[], help="kinds of clients")
    asked = parser.parse_args()
    crowd = _honest if asked.nature == "honest" else _hostile
    print(json.dumps(asyncio.run(crowd(_place(asked), asked))), flush=True)


if __name__ == "__main__":
    main()
