"""What pages of the documentation repeat from the code."""

import json
import re
import runpy
from pathlib import Path

from pronghorn.parameters import PARAMETERS

DOCS = Path(__file__).resolve().parent.parent / "docs"

ROW = re.compile(r"^\| \[`--([\w-]+)`\]\(configuration\.md#\1\) \| (none|[\d,]+)(?: bytes| s)? \|", re.MULTILINE)


def test_defaults_of_the_limits():
    hook = runpy.run_path(str(DOCS / "hooks" / "reference.py"))
    page = hook["on_page_markdown"]((DOCS / "security.md").read_text(encoding="utf-8"))
    told = {
        name.replace("-", "_"): None if default == "none" else int(default.replace(",", ""))
        for name, default in ROW.findall(page)
    }
    assert told == {name: each.default for name, each in PARAMETERS.items() if each.exceeded}


def test_the_page_on_performance_has_the_newest_result():
    hook = runpy.run_path(str(DOCS / "hooks" / "results.py"))
    page = hook["on_page_markdown"]((DOCS / "performance.md").read_text(encoding="utf-8"))
    measured = json.loads(hook["newest"]().read_text(encoding="utf-8"))
    plain = next(each for each in measured["scenarios"] if each["name"] == "plain")
    assert "<!-- result" not in page
    assert f"{measured['date']}, `{measured['command']}`" in page
    assert f"| Plain GET | {plain['servers']['pronghorn']['per_second']:,.0f} |" in page
    assert f"| a plain GET | {plain['servers']['pronghorn']['cpu_us']:.1f} |" in page
    assert f"<summary>{plain['title']}</summary>" in page
