"""Worker handles on processes that do not exist."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from typing import Any

from pronghorn.config import Config
from pronghorn.supervisor.worker_handle import WorkerHandle
from pronghorn.supervisor.worker_messages import Message, encode

_pids = itertools.count(1)


class FakeProcess:
    """A process that runs until `end` is called. `signals` lists the signals it was sent."""

    def __init__(self) -> None:
        self.pid = next(_pids)
        self.exitcode: int | None = None
        self.sentinel, self._sentinels_other_end = multiprocessing.Pipe()
        self.signals: list[str] = []

    def end(self, exitcode: int) -> None:
        self.exitcode = exitcode
        self._sentinels_other_end.close()

    def terminate(self) -> None:
        self.signals.append("SIGTERM")

    def kill(self) -> None:
        self.signals.append("SIGKILL")

    def join(self, timeout: float) -> None:
        pass

    def close(self) -> None:
        self.sentinel.close()


class FakeWorker:
    """The handle on a fake process, and the worker's end of their pipe."""

    def __init__(self, config: Config, **arguments: Any) -> None:
        self.process: Any = FakeProcess()
        pipe, self.pipe = multiprocessing.Pipe()
        os.set_blocking(pipe.fileno(), False)
        self.handle = WorkerHandle(config, self.process, pipe, **arguments)

    def send(self, message: Message) -> None:
        self.pipe.send_bytes(encode(message))
        self.handle.update()

    def end(self, exitcode: int) -> None:
        self.process.end(exitcode)
        self.handle.update()
