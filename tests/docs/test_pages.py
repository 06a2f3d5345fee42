"""Documentation pages that repeat values from the code."""

import ast
import json
import re
import runpy
from pathlib import Path

import pronghorn._wire
from pronghorn.config.parameters import PARAMETERS

DOCS = Path(__file__).resolve().parents[2] / "docs"
WIRE = Path(pronghorn._wire.__file__).parent

ROW = re.compile(r"^\| \[`--([\w-]+)`\]\(configuration\.md#\1\) \| (none|[\d,]+)(?: bytes| s)? \|", re.MULTILINE)


def test_security_page_has_defaults_of_all_limits():
    hook = runpy.run_path(str(DOCS / "hooks" / "reference.py"))
    page = hook["on_page_markdown"]((DOCS / "security.md").read_text(encoding="utf-8"))
    told = {
        name.replace("-", "_"): None if default == "none" else int(default.replace(",", ""))
        for name, default in ROW.findall(page)
    }
    assert told == {name: each.default for name, each in PARAMETERS.items() if each.exceeded}


def test_performance_page_has_newest_result():
    hook = runpy.run_path(str(DOCS / "hooks" / "results.py"))
    page = hook["on_page_markdown"]((DOCS / "performance.md").read_text(encoding="utf-8"))
    measured = json.loads(hook["newest"]().read_text(encoding="utf-8"))
    plain = next(each for each in measured["scenarios"] if each["name"] == "plain")
    assert "<!-- result" not in page
    assert f"{measured['date']}, `{measured['command']}`" in page
    assert f"| Plain GET | {plain['servers']['pronghorn']['per_second']:,.0f} |" in page
    assert f"| a plain GET | {plain['servers']['pronghorn']['cpu_us']:.1f} |" in page
    assert f"<summary>{plain['title']}</summary>" in page


def test_map_of_modules_names_every_file():
    page = (DOCS / "how-it-works.md").read_text(encoding="utf-8").partition("## Module map")[2]
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", page))
    package = WIRE.parent
    files = {path.relative_to(package) for path in package.rglob("*.py") if not path.name.startswith("__")}
    folders = {f"{folder.as_posix()}/" for file in files for folder in file.parents if folder.name}
    missing = {
        file for file in files if not {file.as_posix(), *(f"{each.as_posix()}/" for each in file.parents)} & named
    }
    assert not missing
    assert named <= {file.as_posix() for file in files} | folders | {"ext/", "src/pronghorn/"}


def test_the_states_of_a_connection():
    page = (DOCS / "how-it-works.md").read_text(encoding="utf-8")
    tables = [re.findall(r"^\| `([A-Z_]+)` \|", block, re.MULTILINE) for block in page.split("\n\n")]
    modules = ("http1/connection", "writer", "request", "websocket/session")
    modules += ("http2/connection", "http2/output", "http2/stream")
    states = [each for name in modules for each in enumerations((WIRE / f"{name}.py").read_text(encoding="utf-8"))]
    assert sorted(filter(None, tables)) == sorted(states)
    drawn = set(re.findall(r"[A-Z_]{4,}", "".join(re.findall(r"^    .*\n", page, re.MULTILINE))))
    assert drawn == {name for each in states for name in each if not name.endswith("_TIMER")}


def enumerations(source):
    """The names of each run of module constants that count from 0."""
    found = []
    for node in ast.parse(source).body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Constant(0)):
                found.append([name])
            case ast.Assign([ast.Name(name)], ast.Constant(int(value))) if found and value == len(found[-1]):
                found[-1].append(name)
    return found
