"""An installation without extras, as `PRONGHORN_EXTRAS=none` promises: none is present, and the standard library
replaces them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

from tests.support.server import APPS, PATIENCE

EXTRAS = ("standard", "metrics", "top", "wsgi", "tls", "deflate")

pytestmark = pytest.mark.skipif(
    os.environ.get("PRONGHORN_EXTRAS") != "none", reason="nobody says that no extra is installed"
)


def distributions(extra: str) -> list[str]:
    """The names of the distributions in an extra."""
    marker = re.compile(rf"""extra\s*==\s*["']{extra}["']""")
    found = [re.match(r"[\w.\-]+", line) for line in metadata.requires("pronghorn") or () if marker.search(line)]
    return [name[0] for name in found if name]


@pytest.mark.parametrize("extra", EXTRAS)
def test_no_distribution_of_extra_is_installed(extra: str) -> None:
    names = distributions(extra)
    assert names
    for name in names:
        with pytest.raises(metadata.PackageNotFoundError):
            metadata.version(name)


def test_every_extra_for_serving_is_known() -> None:
    for_work = {"bench", "docs", "frameworks", "fuzz", "lint", "test", "test-bare"}
    assert set(metadata.metadata("pronghorn").get_all("Provides-Extra")) == {*EXTRAS, *for_work}


def test_standard_library_replaces_extras(certificates: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pronghorn", "check", "asgi:app", *certificates.flags, "--app-dir", str(APPS)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (told["loop"], told["deflate"]) == ("asyncio", "zlib")
    assert told["TLS"].startswith("ssl, ")
