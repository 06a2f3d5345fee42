"""The steps of CI: scripts, workflows and versions agree."""

import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted((ROOT / "scripts").glob("*"))

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="a source distribution has no workflows")

PINNED = re.compile(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40}) # (v[\d.]+)")


def text(path):
    return path.read_text(encoding="utf-8")


def load(name):
    return yaml.safe_load(text(ROOT / ".github" / "workflows" / name))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def minors():
    """The versions of CPython that pyproject.toml names."""
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    return re.findall(r":: (3\.\d+)", "\n".join(project["classifiers"]))


def by_name(path):
    return path.name


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=by_name)
def test_every_action_is_pinned_to_commit(workflow):
    assert len(PINNED.findall(text(workflow))) == text(workflow).count("uses: ")


def test_every_action_has_one_version():
    used = {pin for workflow in WORKFLOWS for pin in PINNED.findall(text(workflow))}
    assert len(used) == len({action for action, _, _ in used})


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=by_name)
def test_every_job_has_time_limit(workflow):
    assert [name for name, job in load(workflow.name)["jobs"].items() if "timeout-minutes" not in job] == []


def test_every_script_is_executable():
    assert [path.name for path in SCRIPTS if not os.access(path, os.X_OK)] == []


def test_every_script_that_is_called_exists():
    callers = [*WORKFLOWS, ROOT / ".ci" / "run", ROOT / "docs" / "contributing.md"]
    called = {name for path in callers for name in re.findall(r"\bscripts/([a-z]+)", text(path))}
    assert called == {path.name for path in SCRIPTS}


def test_wheels_are_tried_when_package_changes():
    # YAML 1.1 reads the key `on` as true.
    assert {"src/**", "ext/**", "setup.py", "pyproject.toml"} <= set(load("wheels.yml")[True]["pull_request"]["paths"])


def test_every_change_is_tested():
    assert load("ci.yml")[True]["pull_request"] is None


def test_every_version_is_tested():
    assert load("ci.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"] == minors()
    assert f'MINORS="{" ".join(minors())}"' in text(ROOT / ".ci" / "run")


def test_macos_and_windows_are_tested_in_both_forms():
    matrix = load("ci.yml")["jobs"]["systems"]["strategy"]["matrix"]
    assert (matrix["name"], matrix["form"]) == (["macOS", "Windows"], ["compiled", "interpreted"])


def test_workflows_run_every_step_of_ci():
    local = set(re.findall(r"scripts/([a-z]+)", text(ROOT / ".ci" / "run")))
    commands = [shlex.split(line) for step in steps(load("ci.yml")) for line in step.get("run", "").splitlines()]
    assert local <= {Path(words[0]).name for words in commands if words[0].startswith("scripts/")}
