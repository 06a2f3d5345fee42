"""The supervisor of `--workers`."""

from pronghorn.supervisor import Supervisor as Multiprocess

__all__ = ["Multiprocess"]
