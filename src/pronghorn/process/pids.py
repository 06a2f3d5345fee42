"""Process IDs of other processes."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import _winapi

    # The right PROCESS_QUERY_LIMITED_INFORMATION, and the exit code of a process that has none yet.
    _QUERY = 0x1000
    _STILL_ACTIVE = 259

    def exists(pid: int) -> bool:
        """Return whether the process exists. One that has ended exists until its parent has waited for it."""
        try:
            handle = _winapi.OpenProcess(_QUERY, False, pid)  # `os.kill` would end the process
        except PermissionError:  # another user's
            return True
        except (OSError, OverflowError):
            return False
        try:
            return _winapi.GetExitCodeProcess(handle) == _STILL_ACTIVE
        finally:
            _winapi.CloseHandle(handle)

else:

    def exists(pid: int) -> bool:
        """Return whether the process exists. One that has ended exists until its parent has waited for it."""
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:  # another user's
            pass
        return True
