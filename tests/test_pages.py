"""What pages of the documentation repeat from the code."""

import re
from pathlib import Path

from pronghorn import config

DOCS = Path(__file__).resolve().parent.parent / "docs"

ROW = re.compile(r"^\| \[`--([\w-]+)`\]\(configuration\.md#\1\) \| (none|[\d,]+)(?: bytes| s)? \|", re.MULTILINE)


def test_defaults_of_the_limits():
    told = {
        name.replace("-", "_"): None if default == "none" else int(default.replace(",", ""))
        for name, default in ROW.findall((DOCS / "security.md").read_text(encoding="utf-8"))
    }
    assert len(told) == 15
    defaults = config.parameters()
    assert told == {name: defaults[name] for name in told}
