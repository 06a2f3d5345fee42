"""The resident memory of a process, and the limit of its control group."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from pronghorn.errors import StartupError
from pronghorn.process import memory

UNLIMITED = "9223372036854771712"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """A directory for the files of control groups."""
    return tmp_path


def write(groups: Path, membership: str, **files: str) -> int | None:
    """The limit that `memory` finds with this /proc/self/cgroup and these files below the mount."""
    (groups / "cgroup").write_text(membership)
    for name, content in files.items():
        path = groups / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return memory.control_group_limit(groups / "cgroup", groups / "mount")


def test_group_of_version_2_has_the_lowest_limit_on_the_way_up(groups: Path) -> None:
    files = {"memory.max": "max\n", "a/memory.max": "1000\n", "a/b/memory.max": "2000\n", "other/memory.max": "1\n"}
    assert write(groups, "0::/a/b\n", **files) == 1000


def test_group_of_version_1_is_found_among_other_controllers(groups: Path) -> None:
    files = {"memory/a/memory.limit_in_bytes": "3000\n", "memory/memory.limit_in_bytes": UNLIMITED}
    assert write(groups, "5:cpu,cpuacct:/z\n4:memory:/a\n1:name=systemd:/x\n0::/\n", **files) == 3000


def test_container_that_shows_only_its_own_group_has_its_limit(groups: Path) -> None:
    assert write(groups, "4:memory:/docker/1f\n", **{"memory/memory.limit_in_bytes": "4000\n"}) == 4000


@pytest.mark.parametrize("text", ["max", UNLIMITED])
def test_group_without_limit_has_none(groups: Path, text: str) -> None:
    membership = "0::/a\n4:memory:/a\n"
    assert write(groups, membership, **{"a/memory.max": text, "memory/a/memory.limit_in_bytes": text}) is None


def test_system_without_control_groups_has_no_limit(groups: Path) -> None:
    assert memory.control_group_limit(groups / "missing", groups) is None


@pytest.mark.parametrize("value", ["0", "0%", "101%", "-1", "1.5", "80 %", "80MB", ""])
def test_other_values_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"neither a number of MiB nor a percentage|out of range"):
        memory.parse(value)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/self/statm")
class TestLimit:
    @pytest.mark.parametrize("value", [256, "256"])
    def test_number_means_mebibytes_for_each_worker(self, value: str | int) -> None:
        assert memory.limit(value, 4) == 256 * 2**20

    def test_percentage_is_shared_by_the_workers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "control_group_limit", lambda: 1000)
        assert memory.limit("80%", 4) == 200

    def test_percentage_of_no_limit_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "control_group_limit", lambda: None)
        with pytest.raises(StartupError, match=r"^--limit-max-rss 80%: no control group limits the memory"):
            memory.limit("80%", 4)

    def test_memory_of_this_process_grows_by_what_it_uses(self) -> None:
        before = memory.resident()
        with mmap.mmap(-1, 32 << 20) as held:  # not from memory that was used before
            held.write(b"x" * len(held))
            assert memory.resident() - before > 24 << 20


def test_system_without_statm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_STATM", "/missing")
    with pytest.raises(StartupError, match="this system has no /missing"):
        memory.limit(256, 1)
