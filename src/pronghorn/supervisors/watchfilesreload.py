"""The supervisor of `--reload`."""

from pronghorn.reload import ChangeReload as WatchFilesReload

__all__ = ["WatchFilesReload"]
