"""Real servers for tests, each in its own process or in a thread of this one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pronghorn

APPS = Path(__file__).parents[1] / "apps"
SOURCES = Path(pronghorn.__file__).parent.parent

# Time limit in seconds for steps that normally finish at once.
PATIENCE = 60

FORMS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "compiled": ({}, ()),
    "interpreted": ({"PRONGHORN_PURE": "1"}, ("--http", "h11")),
    "httptools": ({"PRONGHORN_PURE": "1"}, ("--http", "httptools")),
}


def lacks(form: str = "compiled", loop: str = "asyncio") -> str | None:
    """The reason that a form or loop cannot run here, or None if it can."""
    if form == "compiled" and find_spec("pronghorn._wire_c.http1.connection") is None:
        return None if os.environ.get("PRONGHORN_BUILD") == "required" else "the compiled form was not built"
    for module in (form, loop):
        if module in ("httptools", "uvloop") and find_spec(module) is None:
            return f"{module} is not installed"
    return None


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until another thread makes `condition` true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Lines:
    """The lines of a stream, read in a thread; `wait_for` waits for one of them.

    From the time when `keeps` is set, only lines for which it returns true are kept.
    """

    keeps: Callable[[str], object] | None = None

    def __init__(self, stream: Any) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[str]:
        with self._changed:
            return iter(list(self._lines))

    def text(self) -> str:
        return "\n".join(self)

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait for the `count`th line that contains `pattern`."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._ended or len(self._find(pattern)) >= count, PATIENCE)
            matches = self._find(pattern)
        if not found or len(matches) < count:
            raise AssertionError(f"no line with {pattern!r}:\n{self.text()}")
        return matches[count - 1]

    def wait_for_change(self, file: Path, pattern: str, count: int = 1) -> re.Match[str]:
        """`wait_for` a line about the changed `file` from another server's reloader.

        A reloader that has not looked at the file yet misses the change, so the file is touched until the line comes.
        """
        end = time.monotonic() + PATIENCE
        with self._changed:
            while not self._changed.wait_for(lambda: self._ended or len(self._find(pattern)) >= count, PATIENCE / 5):
                if time.monotonic() > end:
                    break
                os.utime(file)
        return self.wait_for(pattern, count)

    def wait_for_end(self) -> str:
        self._thread.join(PATIENCE)
        return self.text()

    def _find(self, pattern: str) -> list[re.Match[str]]:
        return [found for line in self._lines if (found := re.search(pattern, line))]

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                text = line.rstrip("\n")
                if self.keeps is not None and not self.keeps(text):
                    continue
                with self._changed:
                    self._lines.append(text)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Process:
    """A process of `python -m pronghorn APP FLAGS`, with APP from tests/apps. It may fail to start.

    `module` names another server with the same options; `prefix` is a command that runs the server.
    """

    def __init__(
        self,
        app: str,
        *flags: str,
        form: str = "compiled",
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        session: bool = False,
        module: str = "pronghorn",
        prefix: Sequence[str] = (),
    ) -> None:
        form_env, form_flags = FORMS[form]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PRONGHORN_", "UVICORN_"))}
        environment["PYTHONPATH"] = str(SOURCES)
        environment["PYTHONUNBUFFERED"] = "1"
        command = [*prefix, sys.executable, "-m", module, app, "--app-dir", str(APPS), *form_flags, *flags]
        self._popen = subprocess.Popen(
            command,
            env={**environment, **form_env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
            start_new_session=session,
        )
        self.pid = self._popen.pid
        self.port = 0
        self.access = Lines(self._popen.stdout)
        self.log = Lines(self._popen.stderr)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_running(self) -> None:
        found = self.log.wait_for(r"running on (?:https?://\S*:(\d+)|unix socket|socket)")
        self.port = int(found[1] or 0)

    def signal(self, number: int = signal.SIGTERM) -> None:
        self._popen.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Signal the process group, as a terminal does. Needs `session=True`."""
        os.killpg(self.pid, number)

    def wait(self) -> int:
        """Wait for the end; return the exit code, negative for a signal."""
        code = self._popen.wait(PATIENCE)
        self.access.wait_for_end()
        self.log.wait_for_end()
        return code

    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def end(self) -> None:
        """Kill the process."""
        self._popen.kill()
        self.wait()

    def has_memory(self) -> bool:
        """Return whether this system supports `memory`."""
        return Path(f"/proc/{self.pid}/statm").exists()

    def memory(self) -> int:
        """The resident set size in bytes."""
        return resident(self.pid)


def resident(pid: int) -> int:
    """The resident set size of a process in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def process(app: str, *flags: str, form: str = "compiled", env: dict[str, str] | None = None) -> Iterator[Process]:
    """Run a server in a process, on a free port unless `flags` name an address."""
    place = () if {"--uds", "--fd", "--port", "--bind"} & set(flags) else ("--port", "0")
    server = Process(app, *place, *flags, form=form, env=env)
    try:
        server.wait_until_running()
        yield server
    finally:
        server.end()
        print(server.log.text())  # pytest shows it for a failed test


class ThreadedServer(pronghorn.Server):
    """A server that sets `ready` when it has started."""

    def __init__(self, config: pronghorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def thread(app: Any, **parameters: Any) -> Iterator[ThreadedServer]:
    """Run a server in a thread, stopped through `should_exit`."""
    config = pronghorn.Config(app, **{"port": 0, "log_config": None, **parameters})
    server = ThreadedServer(config)
    runner = threading.Thread(target=server.run, daemon=True)
    runner.start()
    try:
        assert server.ready.wait(PATIENCE)
        yield server
    finally:
        server.should_exit = True
        runner.join(PATIENCE)
        assert not runner.is_alive()
