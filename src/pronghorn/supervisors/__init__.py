"""The supervisors of `--reload` and `--workers`, for programs that run them directly."""

from pronghorn.reload import ChangeReload as ChangeReload
from pronghorn.supervisor import Supervisor as Multiprocess

__all__ = ["ChangeReload", "Multiprocess"]
