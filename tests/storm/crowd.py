"""A process of clients, which the harness starts. Prints its results as JSON.

Honest clients finish their exchanges; hostile clients stop when their time is over.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import random
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from tests.storm.hostile import ACTS, TLS_ACTS, Act
from tests.storm.link import LEFT, Place
from tests.storm.witness import MOST_FAILURES, Witness, attend

# Seconds in which the server ends any act, beside twice the write timeout: that starts anew while buffers fill.
_ACT_SECONDS = 15.0


@dataclass
class Record:
    """Of one kind of hostile client: the acts that reached the server and ended, and the failures of others."""

    acts: int = 0
    failures: list[str] = field(default_factory=list)


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
    kinds = {**ACTS, **(TLS_ACTS if place.context else {})}
    kinds = {kind: acts for kind, acts in kinds.items() if kind not in asked.without}
    records = {kind: Record() for kind in kinds}
    actors = [
        asyncio.create_task(
            _act(acts, place, random.Random(f"{asked.seed} {kind} {number}"), asked.rest, records[kind])
        )
        for kind, (acts, count) in kinds.items()
        for number in range(count)
    ]
    await asyncio.sleep(asked.seconds)
    for actor in actors:
        actor.cancel()
    await asyncio.wait(actors)
    return {kind: dataclasses.asdict(record) for kind, record in records.items()}


async def _act(acts: tuple[Act, ...], place: Place, rng: random.Random, rest: float, record: Record) -> None:
    """Run one act after the other until cancelled, or until too many have failed."""
    while len(record.failures) < MOST_FAILURES:
        await perform(rng.choice(acts), place, rng, record, _ACT_SECONDS + 2 * place.write_timeout)
        await asyncio.sleep(rng.uniform(0, 2 * rest))


async def perform(act: Act, place: Place, rng: random.Random, record: Record, seconds: float) -> None:
    """Run an act and record it. It fails if it does not reach the server, or if it is not over after `seconds`."""
    try:
        async with asyncio.timeout(seconds) as limit:
            await act(place, rng)
    except LEFT:
        if limit.expired():
            record.failures.append(f"{act} is not over after {seconds} s")
            return
    except Exception as error:
        record.failures.append(f"{act} fails: {error!r}")
        return
    record.acts += 1


def _place(asked: argparse.Namespace) -> Place:
    if not asked.authority:
        return Place(asked.port, asked.write_timeout)
    context, http2_context = (ssl.create_default_context(cafile=asked.authority) for _ in range(2))
    http2_context.set_alpn_protocols(["h2"])
    return Place(asked.port, asked.write_timeout, context, http2_context)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.storm.crowd", description=__doc__)
    parser.add_argument("nature", choices=["honest", "hostile"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--authority", help="file of the certificate that the server's comes from, where it speaks TLS")
    parser.add_argument("--write-timeout", type=int, required=True, help="of the server, in seconds")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--patience", type=float, required=True, help="seconds for what an honest client wants")
    parser.add_argument("--rest", type=float, required=True, help="mean seconds between two sessions or acts")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--without", nargs="*", default=[], help="kinds of clients")
    asked = parser.parse_args()
    crowd = _honest if asked.nature == "honest" else _hostile
    print(json.dumps(asyncio.run(crowd(_place(asked), asked))), flush=True)


if __name__ == "__main__":
    main()
