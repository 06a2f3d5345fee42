"""What the cases of Autobahn|Testsuite came to, as both runners write it down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GROUPS = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing handshake",
    9: "limits and performance",
    10: "auto-fragmentation",
    12: "permessage-deflate, sizes and offers",
    13: "permessage-deflate, parameters",
}
VERDICTS = ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED")


@dataclass(frozen=True)
class Outcome:
    """One case: how the messages went, how the connection ended, and the runner's own report of it."""

    case: str
    behaviour: str
    closing: str
    close_code: int | None
    milliseconds: int
    report: Path

    @property
    def group(self) -> int:
        return int(self.case.partition(".")[0])

    @property
    def verdict(self) -> str:
        """The worse of both, one of VERDICTS; what is not implemented has failed."""
        return max(map(_verdict, (self.behaviour, self.closing)), key=VERDICTS.index)

    def explain(self) -> str:
        """The runner's reasons, with what was expected and what came; cut if it is much."""
        report = json.loads(self.report.read_text())
        reasons = dict.fromkeys((report["result"], report["resultClose"]))
        return (
            f"{self.case}: {self.behaviour}, close {self.closing} ({self.close_code}): {' '.join(reasons)}"
            f" Expected {report['expected']} and {report['expectedClose']}, received {report['received']}"
        )[:1000]


def read(reports: Path) -> list[Outcome]:
    """The outcomes in the folder of one run, in the order of the cases."""
    return sorted(_read(reports), key=lambda outcome: [int(part) for part in outcome.case.split(".")])


def _read(reports: Path) -> Iterator[Outcome]:
    for cases in json.loads((reports / "index.json").read_text()).values():
        for case, outcome in cases.items():
            yield Outcome(
                case,
                outcome["behavior"],
                outcome["behaviorClose"],
                outcome["remoteCloseCode"],
                outcome["duration"],
                reports / outcome["reportfile"],
            )


def _verdict(word: str) -> str:
    return word if word in VERDICTS else "FAILED"
