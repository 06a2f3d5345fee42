"""Chromium without a window, for tests of what browsers do."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from tests.support.server import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome")
ALONE = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextlib.contextmanager
def browsing(url, profile, *flags):
    """Show the page at `url`, with a profile in the folder `profile`. Skip the test without Chromium."""
    command = next(filter(None, map(shutil.which, NAMES)), None)
    if command is None:
        pytest.skip("needs Chromium")
    with running(command, *ALONE, f"--user-data-dir={profile}", *flags, url):
        yield


@contextlib.contextmanager
def running(*command):
    """Run a program in its own process group, and kill the group at the end."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
