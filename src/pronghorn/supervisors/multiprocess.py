"""The supervisor of `--workers`."""

from pronghorn.supervisor.supervisor import Supervisor as Multiprocess

__all__ = ["Multiprocess"]
