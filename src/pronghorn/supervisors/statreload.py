"""The supervisor of `--reload`, which compares modification times if watchfiles is not installed."""

from pronghorn.supervisor.reloader import ChangeReload as StatReload

__all__ = ["StatReload"]
