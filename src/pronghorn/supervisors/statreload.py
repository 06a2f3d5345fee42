"""The supervisor of `--reload`, which compares modification times if watchfiles is not installed."""

from pronghorn.reload import ChangeReload as StatReload

__all__ = ["StatReload"]
