"""`--reload`, which looks at the times of files where watchfiles is not installed."""

from pronghorn.reload import ChangeReload as StatReload

__all__ = ["StatReload"]
