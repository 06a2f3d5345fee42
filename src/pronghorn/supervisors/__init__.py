"""`--reload` and `--workers` for programs that call them by themselves."""

from pronghorn.reload import ChangeReload as ChangeReload
from pronghorn.supervisor import Supervisor as Multiprocess

__all__ = ["ChangeReload", "Multiprocess"]
