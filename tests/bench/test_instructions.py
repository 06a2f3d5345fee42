"""The instruction budgets, with invented counts."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import budgets, callgrind, instructions, replay, served
from bench.budgets import Counts
from bench.callgrind import CountFailed
from bench.replay import REFERENCE, REQUESTS, SCENARIOS

LIBRARIES = {"uvloop": "0.23.0", "starlette": "1.10.0", "aiofastnet": "1.2.0", "openssl": "3.0.19"}
BUDGETS = Counts("3.11.7", "GCC 12", dict.fromkeys(SCENARIOS, 1000), dict.fromkeys(served.SCENARIOS, 1000), LIBRARIES)
PART = "part: {part}\nsummary: {total}\nfn=(1)\n12 34\ntotals: {total}\n"


def counts(python: str = "3.11.7", compiler: str = "GCC 12", **scenarios: int) -> Counts:
    return dataclasses.replace(BUDGETS, python=python, compiler=compiler, replayed={**BUDGETS.replayed, **scenarios})


def callgrind_output(*totals: int) -> str:
    return "# callgrind format\n" + "".join(PART.format(part=at, total=total) for at, total in enumerate(totals, 1))


def output_of(values: list[int]) -> str:
    """Callgrind's output for scenarios with these counts, with unrelated counts between them."""
    totals = [123456789]
    for value in values:
        totals += [value * REQUESTS + 300, 7777]
    return callgrind_output(*totals)


class Valgrind:
    """A fake that writes the counts in `values`, returns those in `served`, and keeps the last `environment`."""

    def __init__(self, budgets: Path) -> None:
        self.budgets = budgets
        self.values = [1000] * len(SCENARIOS)
        self.served = dict.fromkeys(served.SCENARIOS, 1000)
        self.libraries = LIBRARIES
        self.environment: dict[str, str] = {}

    def run(self, command: list[str], *, env: dict[str, str], **options: Any) -> None:
        self.environment = env
        (output,) = (each.partition("=")[2] for each in command if each.startswith("--callgrind-out-file="))
        Path(output).write_text(output_of(self.values))

    def count(self, names: list[str]) -> dict[str, int]:
        return {name: self.served[name] for name in names}


@pytest.fixture
def valgrind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Valgrind:
    """A fake valgrind, for CPython 3.11 compiled by GCC 12, with its own budgets."""
    module = tmp_path / "connection.so"
    module.write_bytes(b"\x7fELF\0GCC: (Debian 12.2.0-14) 12.2.0\0")
    fake = Valgrind(tmp_path / "instructions.toml")
    fake.budgets.write_text(budgets.written({"3.11": BUDGETS}))
    monkeypatch.setattr(budgets, "PATH", fake.budgets)
    monkeypatch.setattr(instructions.backend, "compiled_is_available", lambda: True)
    monkeypatch.setattr(instructions.importlib.util, "find_spec", lambda name: SimpleNamespace(origin=module))
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(instructions.platform, "python_version", lambda: "3.11.7")
    monkeypatch.setattr(instructions.subprocess, "run", fake.run)
    monkeypatch.setattr(served, "versions", lambda: fake.libraries)
    monkeypatch.setattr(served, "count", fake.count)
    monkeypatch.setattr(sys, "argv", ["bench.instructions"])
    return fake


def test_counts_lie_between_marks() -> None:
    expected = {"a": 10, "b": 20, "c": 30}
    assert callgrind.parse(output_of([10, 20, 30]), list(expected), REQUESTS) == expected


def test_missing_mark_is_refused() -> None:
    with pytest.raises(CountFailed, match="2 counts for 3 scenarios"):
        callgrind.parse(callgrind_output(1, 2), ["a", "b", "c"], REQUESTS)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (b"\0GCC: (Debian 12.2.0-14) 12.2.0\0", "GCC 12"),
        (b"\0GCC: (GNU) 15.0.1 20250101\0", "GCC 15"),
        (b"\0Debian clang version 19.1.7 (3)\0", "clang 19"),
        (b"\0nothing\0", "unknown"),
    ],
    ids=["gcc", "gnu", "clang", "unknown"],
)
def test_compiler_is_read_from_module(module: bytes, name: str) -> None:
    assert instructions.compiler(module) == name


def test_budgets_survive_writing_and_reading() -> None:
    alone = Counts("3.9.1", "GCC 12", BUDGETS.replayed)
    every = {"3.9": alone, "3.11": BUDGETS, "3.13": counts("3.13.0", plain=7)}
    text = budgets.written(every)
    assert budgets.read(text) == every
    assert text.index("3.9") < text.index("3.11") < text.index("3.13")


def test_committed_budgets_are_for_every_scenario() -> None:
    for minor, each in budgets.read(budgets.PATH.read_text(encoding="utf-8")).items():
        assert each.minor == minor
        assert (list(each.replayed), list(each.served)) == (list(SCENARIOS), list(served.SCENARIOS))


@pytest.mark.parametrize(
    ("counted", "above", "remark"),
    [
        (1000, False, ""),
        (1050, False, ""),
        (1051, True, "more than 5% above"),
        (950, False, ""),
        (949, False, "more than 5% below: lower the budget with --update"),
    ],
)
def test_count_over_tolerance_is_above_budget(counted: int, above: bool, remark: str) -> None:
    assert budgets.is_above(1000, counted, 0.05) is above
    assert budgets.remark(1000, counted, 0.05) == remark


@pytest.mark.parametrize(
    ("wanted", "counted", "reason"),
    [
        (BUDGETS, counts(plain=5000), ""),
        (BUDGETS, counts("3.11.9"), ""),
        (BUDGETS, counts(reference=1010), ""),
        (BUDGETS, counts(reference=1011), "another build of CPython than the 3.11.7"),
        (BUDGETS, counts(reference=989), "another build of CPython"),
        (BUDGETS, counts(compiler="GCC 13"), "compiled by GCC 13, the budgets are for GCC 12"),
        (None, counts("3.14.0"), "no budgets for CPython 3.14"),
    ],
    ids=["same", "patch", "alike", "more", "less", "compiler", "none"],
)
def test_incomparable_counts_have_a_reason(wanted: Counts | None, counted: Counts, reason: str) -> None:
    found = budgets.why_not_comparable(wanted, counted)
    assert reason in found
    assert bool(reason) == bool(found)


def test_table_has_a_line_for_each_scenario() -> None:
    lines = budgets.table("title", BUDGETS.replayed, counts(browser=1100).replayed, 0.05).splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(SCENARIOS)
    assert lines[2].split() == ["reference", "1,000", "1,000", "+0.0%"]
    browser = lines[2 + list(SCENARIOS).index("browser")]
    assert browser.split(None, 4) == ["browser", "1,000", "1,100", "+10.0%", "more than 5% above"]


def test_counts_within_budgets_pass(valgrind: Valgrind, capsys: pytest.CaptureFixture[str]) -> None:
    instructions.main()
    assert "Not compared" not in capsys.readouterr().out
    assert valgrind.environment["PYTHONHASHSEED"] == "0"


def test_count_above_budget_fails(valgrind: Valgrind) -> None:
    valgrind.values[2] = 1051
    with pytest.raises(SystemExit, match="Above the budget"):
        instructions.main()


def test_scenario_without_budget_fails(valgrind: Valgrind) -> None:
    valgrind.budgets.write_text(budgets.written({"3.11": Counts("3.11.7", "GCC 12", {REFERENCE: 1000})}))
    with pytest.raises(SystemExit, match="Above the budget"):
        instructions.main()


def test_count_of_a_server_above_its_budget_fails(valgrind: Valgrind) -> None:
    valgrind.served["sleep"] = 1051
    with pytest.raises(SystemExit, match="Above the budget"):
        instructions.main()


def test_count_with_another_library_is_not_compared(valgrind: Valgrind, capsys: pytest.CaptureFixture[str]) -> None:
    valgrind.served["starlette"] = 2000
    valgrind.libraries = {**LIBRARIES, "starlette": "2.0.0"}
    instructions.main()
    assert "starlette in a whole server, with starlette 2.0.0 instead of 1.10.0" in capsys.readouterr().out


def test_scenario_without_its_library_is_not_counted(valgrind: Valgrind, capsys: pytest.CaptureFixture[str]) -> None:
    valgrind.libraries = {name: LIBRARIES[name] for name in ("uvloop", "starlette", "openssl")}
    instructions.main()
    printed = capsys.readouterr().out
    assert "Not counted: tls, which needs uvloop and aiofastnet and openssl" in printed
    assert "Not counted: plain" not in printed


def test_failed_server_is_reported(valgrind: Valgrind, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(names: list[str]) -> dict[str, int]:
        raise CountFailed("the server failed")

    monkeypatch.setattr(served, "count", count)
    with pytest.raises(SystemExit, match="the server failed"):
        instructions.main()


def test_another_interpreter_is_reported_and_passes(valgrind: Valgrind, capsys: pytest.CaptureFixture[str]) -> None:
    valgrind.values = [1200] * len(SCENARIOS)
    instructions.main()
    assert "Not compared: the reference differs" in capsys.readouterr().out


def test_update_writes_budgets_of_this_interpreter(valgrind: Valgrind, monkeypatch: pytest.MonkeyPatch) -> None:
    other = counts("3.13.0", "GCC 14")
    valgrind.budgets.write_text(budgets.written({"3.11": BUDGETS, "3.13": other}))
    valgrind.values = list(range(1, len(SCENARIOS) + 1))
    monkeypatch.setattr(sys, "argv", ["bench.instructions", "--update"])
    instructions.main()
    written = budgets.read(valgrind.budgets.read_text())
    assert list(written["3.11"].replayed.values()) == valgrind.values
    assert (written["3.11"].served, written["3.11"].libraries) == (valgrind.served, LIBRARIES)
    assert written["3.13"] == other


def test_failure_of_valgrind_is_reported(valgrind: Valgrind, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="unhandled instruction")

    monkeypatch.setattr(instructions.subprocess, "run", run)
    with pytest.raises(SystemExit, match="unhandled instruction"):
        instructions.main()


def test_missing_valgrind_is_reported(valgrind: Valgrind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="valgrind is not installed"):
        instructions.main()


def test_interpreted_form_is_refused(valgrind: Valgrind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions.backend, "compiled_is_available", lambda: False)
    with pytest.raises(SystemExit, match="only the compiled form is counted"):
        instructions.main()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_answered_between_two_marks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = []
    monkeypatch.setattr(replay, "mark", lambda: marks.append(name))
    replay.replay(SCENARIOS[name], warm_up=1, requests=2)
    assert marks == [name, name]


def test_wrong_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "mark", lambda: None)
    other = dataclasses.replace(SCENARIOS["plain"], answer=b"Goodbye")
    with pytest.raises(SystemExit, match=r"wrong answer: b.HTTP/1.1 200"):
        replay.replay(other, warm_up=0, requests=1)
