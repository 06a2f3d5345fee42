"""Every block of the documentation runs, or is read by the program it is for, page by page."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import shutil
import sys
import sysconfig
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest

# The pages show output of an installation with the extra `standard`.
pytest.importorskip("uvloop")
pytest.importorskip("yaml")

from pronghorn.config import config
from tests.support import configurations
from tests.support.documentation import PAGES, ROOT, Block, Reader, blocks, reader

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are for a POSIX shell"),
    pytest.mark.skipif(not shutil.which("curl"), reason="curl asks what the pages serve"),
]

# Prefixes of the commands that do not run here, with the reason.
NOT_RUN = {
    "python -m pytest": "this is such a run",
    "scripts/": "the steps of .ci/run",
    ".ci/run": "it runs this",
    "python -m build": "takes minutes; test_build.py builds",
    "python -m tools.wheels": "takes minutes",
    "python -m bench ": "takes minutes",
    "python -m fuzz": "takes minutes, and needs atheris; tests/fuzz/test_targets.py runs seconds of it",
    "pip install -e '.[fuzz]'": "is for the line after it",
    "python -m tests.soak": "takes an hour; tests/soak/test_soak.py runs seconds of it",
    "python -m tests.simulation": "takes minutes; tests/simulation/test_simulation.py runs seconds of it",
    "python -m tests.storm": "takes minutes; tests/storm/test_storm.py runs seconds of it",
    "python -m tests.smuggling": "takes minutes; tests/smuggling/test_smuggling.py runs some of it",
    "python -m tests.attacks": "takes minutes; tests/attacks runs seconds of it",
}

# Programs that some systems lack.
ONLY_SOMEWHERE = ("systemd-socket-activate",)

SHELL = ("console", "sh")


@pytest.mark.parametrize("name", PAGES)
def test_page_can_be_followed(name: str, tmp_path: Path, certificates: Any) -> None:
    if missing := missing_modules(list(blocks(PAGES[name]))):
        pytest.skip(f"{', '.join(missing)} is not installed")
    text = PAGES[name].read_text(encoding="utf-8")
    prepare(tmp_path, certificates)
    with reader(tmp_path, text) as following:
        for block in blocks(PAGES[name]):
            try:
                follow(block, following, certificates)
            except Exception as error:
                error.add_note(f"at {block}")
                raise


@pytest.mark.parametrize("prefix", NOT_RUN)
def test_skipped_command_occurs_in_documentation(prefix: str) -> None:
    commands = [each for page in PAGES.values() for block in blocks(page) for each, _ in block.commands()]
    assert any(part.startswith(prefix) for each in commands for part in each.split(" && "))


def test_block_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    with reader(tmp_path, "") as following, pytest.raises(AssertionError, match=r"page\.md:1 is of an unknown kind"):
        follow(Block("page.md", 1, "", "", "true\n"), following, None)


def test_output_that_differs_from_page_is_refused(tmp_path: Path) -> None:
    with reader(tmp_path, "") as following:
        follow(Block("page.md", 1, "console", "", "$ echo 1\n1\n$ (exit 3)\n...\n$ echo $?\n3\n"), following, None)
        with pytest.raises(AssertionError, match="the page shows"):
            follow(Block("page.md", 1, "console", "", "$ echo 1\n2\n"), following, None)


@pytest.mark.parametrize(
    ("language", "title", "text"),
    [
        ("python", "main.py", "def app(:\n"),
        ("toml", "pyproject.toml", "[tool.pronghorn]\nprot = 1\n"),
        ("yaml", "pod.yaml", "containers:\n- args: [pronghorn, 'main:app', --prot, '1']\n"),
        ("ini", "app.service", "[Service]\nExecStart=/bin/pronghorn main:app --workers many\n"),
        ("ini", "app.service", "[Service]\nEnvironment=PRONGHORN_PROT=1\nExecStart=/bin/pronghorn main:app\n"),
        ("dockerfile", "Dockerfile", 'FROM python\nENV PRONGHORN_PORT=x\nCMD ["pronghorn", "main:app"]\n'),
        ("dockerfile", "Dockerfile", 'FROM python\nCMD ["pronghorn", "main:app", "--prot", "1"]\n'),
        ("text", "Procfile", "web: pronghorn main:app --prot $PORT\n"),
    ],
)
def test_invalid_file_is_refused(tmp_path: Path, language: str, title: str, text: str) -> None:
    with reader(tmp_path, "") as following, pytest.raises((SyntaxError, click.UsageError)):
        follow(Block("page.md", 1, language, title, text), following, None)


def test_reference_has_every_parameter_once() -> None:
    reference: Any = runpy.run_path(str(ROOT / "docs" / "hooks" / "reference.py"))["reference"]()
    anchors = [name.replace("-", "_") for name in re.findall(r"\{ #([\w-]+) ", reference)]
    assert sorted(anchors) == sorted(config.parameters().keys() - {"app"})


def missing_modules(page: list[Block]) -> list[str]:
    """The modules that a page's programs import and that are not installed."""
    own = {"main", *(Path(block.title).stem for block in page)}
    nodes = [node for block in page if block.language == "python" for node in ast.walk(ast.parse(block.text))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return sorted({name for name in names if name.partition(".")[0] not in own and not is_importable(name)})


def is_importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def prepare(folder: Path, certificates: Any) -> None:
    """Create the files that pages assume: an application, a certificate, a virtual environment, the examples."""
    shutil.copy(ROOT / "examples" / "hello.py", folder / "main.py")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(sysconfig.get_path("scripts"))
    shutil.copy(certificates.certificate, folder / "cert.pem")
    shutil.copy(certificates.key, folder / "key.pem")
    shutil.copy(certificates.authority, folder / "clients.pem")
    (folder / "examples").symlink_to(ROOT / "examples")


def follow(block: Block, following: Reader, certificates: Any) -> None:
    if block.language in SHELL:
        for command, output in block.commands():
            follow_command(command, output, following)
    elif block.language == "python" and not block.title:
        following.program(block.text)
    elif block.language == "text" and not block.title:
        following.saw(block.text)
    else:
        assert block.language in configurations.LANGUAGES, f"{block} is of an unknown kind, {block.language!r}"
        written = following.write(block.title or f"untitled.{block.language}", block.text)
        configurations.check(block.language, written, certificates)


def follow_command(command: str, output: str, following: Reader) -> None:
    parts = command.split(" && ")
    if len(parts) > 1:
        for part in parts:
            follow_command(part, output if part is parts[-1] else "", following)
    elif re.match(r"(python -m )?pip install ", command):
        check_installation(command)
    elif command.startswith("pronghorn bench "):  # takes a minute; tests/bench/test_command.py runs it
        configurations.check_command(shlex.split(command))
    elif not command.startswith(tuple(NOT_RUN)) and not (command.startswith(ONLY_SOMEWHERE) and is_missing(command)):
        following.command(command, output)


def is_missing(command: str) -> bool:
    return shutil.which(command.partition(" ")[0]) is None


def check_installation(command: str) -> None:
    """Check that the extras and files in an install command exist."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = re.search(r"(?:pronghorn|\.)\[([\w,]+)\]", command)
    assert not named or set(named[1].split(",")) <= set(known), command
    for file in re.findall(r"-r (\S+)", command):
        assert (ROOT / file).is_file(), command
