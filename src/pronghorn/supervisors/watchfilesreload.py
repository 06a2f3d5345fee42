"""The supervisor of `--reload`."""

from pronghorn.supervisor.reloader import ChangeReload as WatchFilesReload

__all__ = ["WatchFilesReload"]
