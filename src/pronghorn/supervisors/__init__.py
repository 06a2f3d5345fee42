"""The supervisors of `--reload` and `--workers`, for programs that run them directly."""

from pronghorn.supervisor.reloader import ChangeReload as ChangeReload
from pronghorn.supervisor.supervisor import Supervisor as Multiprocess

__all__ = ["ChangeReload", "Multiprocess"]
