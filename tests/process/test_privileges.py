"""`--user`, `--group`, `--umask`: names and numbers, and what a process that has dropped its privileges still may."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("there are no users to change to", allow_module_level=True)

import grp
import pwd

from pronghorn.errors import StartupError
from pronghorn.process import privileges
from pronghorn.process.privileges import Identity

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")

FREE = next(number for number in range(40000, 60000) if number not in {each.pw_uid for each in pwd.getpwall()})


def options(user: str | None = None, group: str | None = None, umask: int | str | None = None) -> Any:
    return SimpleNamespace(user=user, group=group, umask=umask)


def in_child(work: Callable[[], Any]) -> Any:
    """Call `work` in a forked process; return its result."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(writer, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writer, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        result = json.load(pipe)
    os.waitpid(child, 0)
    return result


def test_without_user_and_group_nobody_is_identified() -> None:
    assert privileges.identify(options(umask="022")) is None


@pytest.mark.parametrize("name", ["nobody", str(pwd.getpwnam("nobody").pw_uid)])
def test_user_brings_its_group(name: str) -> None:
    entry = pwd.getpwnam("nobody")
    assert privileges.identify(options(name)) == Identity(entry.pw_uid, entry.pw_gid, "nobody")


@pytest.mark.parametrize("name", ["daemon", str(grp.getgrnam("daemon").gr_gid)])
def test_group_may_be_another_one(name: str) -> None:
    found = privileges.identify(options("nobody", name))
    assert found is not None
    assert found.gid == grp.getgrnam("daemon").gr_gid


def test_group_alone_keeps_user() -> None:
    found = privileges.identify(options(group="daemon"))
    assert found is not None
    assert (found.uid, found.gid) == (os.getuid(), grp.getgrnam("daemon").gr_gid)


def test_number_of_nobody_needs_group() -> None:
    assert privileges.identify(options(str(FREE), "5")) == Identity(FREE, 5, None)
    with pytest.raises(StartupError, match=f"--user {FREE} is no user of this system"):
        privileges.identify(options(str(FREE)))


@pytest.mark.parametrize("parameters", [{"user": "no such"}, {"group": "no such"}, {"user": str(2**32 - 1)}], ids=str)
def test_unknown_name_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(StartupError, match=r"^--(user|group) '.*' does not exist on this system\.$"):
        privileges.identify(options(**parameters))


def test_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(StartupError, match="not available on Windows"):
        privileges.identify(options("nobody"))


@needs_root
def test_dropped_process_is_the_user_for_good() -> None:
    given: list[tuple[int, int]] = []

    def drop() -> Any:
        os.setgroups([0, 7])
        os.access = lambda *arguments: True  # type: ignore[assignment]  # this Python may be root's alone
        wanted = options("nobody", "daemon", "027")
        privileges.drop(wanted, privileges.identify(wanted), lambda *owner: given.append(owner))
        try:
            os.setuid(0)
        except PermissionError:
            return [*os.getresuid(), *os.getresgid(), os.getgroups(), os.umask(0), given]

    uid, gid = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid
    groups = sorted({gid, *(each.gr_gid for each in grp.getgrall() if "nobody" in each.gr_mem)})
    assert in_child(drop) == [uid, uid, uid, gid, gid, gid, groups, 0o027, [[uid, gid]]]


@needs_root
def test_user_without_name_has_no_other_groups() -> None:
    def drop() -> Any:
        os.access = lambda *arguments: True  # type: ignore[assignment]
        privileges.drop(options(), Identity(FREE, 5, None), lambda *owner: None)
        return [os.getuid(), os.getgid(), os.getgroups()]

    assert in_child(drop) == [FREE, 5, [5]]


@needs_root
@pytest.mark.parametrize(
    ("identity", "result"), [(Identity(FREE, 5, None), "kept"), (Identity(0, 0, "root"), "refused")]
)
def test_ordinary_user_can_only_stay_itself(identity: Identity, result: str) -> None:
    def drop() -> Any:
        os.setgroups([])
        os.setgid(5)
        os.setuid(FREE)
        try:
            privileges.drop(options(), identity, lambda *owner: None)
        except StartupError as error:
            return "refused" if "need root" in str(error) else str(error)
        return "kept"

    assert in_child(drop) == result


@needs_root
def test_user_that_may_not_read_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != sys.executable)

    def drop() -> Any:
        privileges.drop(options(), Identity(FREE, 5, None), lambda *owner: None)

    assert f"may not read {sys.executable}" in in_child(drop)
