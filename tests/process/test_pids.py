"""The existence of other processes."""

import os
import subprocess
import sys

import pytest

from pronghorn.process import pids


@pytest.fixture
def child():
    """A process that ends with its standard input."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        yield child


def test_running_process_exists(child):
    assert pids.exists(child.pid)
    assert pids.exists(os.getpid())


def test_ended_process_does_not_exist(child):
    child.communicate()
    assert not pids.exists(child.pid)


def test_number_that_is_too_great_for_the_system_does_not_exist():
    assert not pids.exists(10**30)


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="only root may become another user")
def test_process_of_another_user_exists(child):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = (
        "import os\nfrom pronghorn.process import pids\nos.setuid(65534)\n"
        f"raise SystemExit(not pids.exists({child.pid}))"
    )
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60).returncode == 0
