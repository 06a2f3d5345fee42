"""The budgets in `instructions.toml`, and how counts compare with them."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .replay import REFERENCE

PATH = Path(__file__).with_name("instructions.toml")
HEADER = (
    "# Instructions for each request, by version of CPython. `python -m bench.instructions --update` writes them.\n"
)
# The reference has no code of pronghorn: where it differs by more, the interpreter is another one.
SAME_INTERPRETER = 0.01


@dataclass(frozen=True)
class Counts:
    """Instructions per request, replayed and served, with the versions of everything that they depend on."""

    python: str
    compiler: str
    replayed: Mapping[str, int]
    served: Mapping[str, int] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def minor(self) -> str:
        """The version of CPython that has budgets of its own."""
        return ".".join(self.python.split(".")[:2])


def read(text: str) -> dict[str, Counts]:
    """The budgets in a TOML document, by minor version."""
    return {
        minor: Counts(
            table["python"],
            table["compiler"],
            table["instructions"],
            table.get("served", {}),
            table.get("libraries", {}),
        )
        for minor, table in tomllib.loads(text).items()
    }


def written(budgets: Mapping[str, Counts]) -> str:
    """The TOML document that `read` reads."""
    lines = [HEADER]
    for minor, each in sorted(budgets.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        lines += [f'["{minor}"]', f'python = "{each.python}"', f'compiler = "{each.compiler}"', ""]
        lines += [f'["{minor}".instructions]', *(f"{name} = {value}" for name, value in each.replayed.items()), ""]
        if each.served:
            lines += [f'["{minor}".libraries]', *(f'{name} = "{value}"' for name, value in each.libraries.items()), ""]
            lines += [f'["{minor}".served]', *(f"{name} = {value}" for name, value in each.served.items()), ""]
    return "\n".join(lines)


def why_not_comparable(budgets: Counts | None, counted: Counts) -> str:
    """The reason why counts and budgets cannot be compared, empty if they can."""
    if budgets is None:
        return f"there are no budgets for CPython {counted.minor}"
    if budgets.compiler != counted.compiler:
        return f"compiled by {counted.compiler}, the budgets are for {budgets.compiler}"
    reference = budgets.replayed[REFERENCE]
    if abs(counted.replayed[REFERENCE] - reference) > reference * SAME_INTERPRETER:
        return f"the reference differs: another build of CPython than the {budgets.python} of the budgets"
    return ""


def other_versions(budgets: Counts, counted: Counts, libraries: Collection[str]) -> str:
    """The `libraries` that have another version than when the budgets were made, empty if all have the same."""
    return ", ".join(
        f"{name} {counted.libraries[name]} instead of {budgets.libraries.get(name, 'none')}"
        for name in libraries
        if counted.libraries[name] != budgets.libraries.get(name)
    )


def is_above(budget: int, counted: int, tolerance: float) -> bool:
    """True if the count is a regression; without a budget, which is 0, it always is."""
    return counted > budget * (1 + tolerance)


def table(title: str, budgets: Mapping[str, int], counted: Mapping[str, int], tolerance: float) -> str:
    """A line for each scenario."""
    lines = [title, f"{'scenario':12}{'budget':>10}{'counted':>10}{'difference':>12}"]
    for name, each in counted.items():
        if budget := budgets.get(name, 0):
            line = f"{name:12}{budget:>10,}{each:>10,}{each / budget - 1:>+12.1%}  {remark(budget, each, tolerance)}"
        else:
            line = f"{name:12}{'none':>10}{each:>10,}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def remark(budget: int, counted: int, tolerance: float) -> str:
    """A remark on a count outside the tolerance."""
    if is_above(budget, counted, tolerance):
        return f"more than {tolerance:.0%} above"
    if counted < budget * (1 - tolerance):
        return f"more than {tolerance:.0%} below: lower the budget with --update"
    return ""
