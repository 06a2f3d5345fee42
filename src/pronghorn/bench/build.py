"""The build of an interpreter: its compiler and optimizations.

`machine.py` sends this source to the interpreter of the servers, so it imports only the standard library.
"""

from __future__ import annotations

import ctypes
import platform
import sysconfig
from collections.abc import Iterable

FLAGS = ("CONFIG_ARGS", "PY_CFLAGS", "PY_CFLAGS_NODIST", "PY_LDFLAGS", "PY_LDFLAGS_NODIST")
# Functions that the training for PGO calls often, and others that it never calls.
FREQUENT = ("PyDict_GetItemWithError", "PyList_Append", "PyObject_GetAttr", "PyTuple_New")
RARE = (
    *("PyEval_CallFunction", "PyImport_ReloadModule", "PyMarshal_ReadShortFromFile", "PyObject_AsWriteBuffer"),
    *("PyRun_AnyFile", "PyRun_InteractiveOne", "PySys_ResetWarnOptions", "PyThread_create_key"),
)
ALIGNMENT = 16


def describe() -> str:
    """The compiler, then profile-guided and link-time optimization, then what else matters for speed."""
    found = [platform.python_compiler()]
    if sysconfig.get_config_var("CONFIG_ARGS") is not None:
        flags = " ".join(str(sysconfig.get_config_var(name)) for name in FLAGS)
        found += optimizations(flags, aligns_frequent_functions_only())
    found += ["free-threaded"] if sysconfig.get_config_var("Py_GIL_DISABLED") else []
    found += ["debug"] if sysconfig.get_config_var("Py_DEBUG") else []
    return ", ".join(found)


def optimizations(flags: str, profiled: bool | None) -> list[str]:
    """PGO and LTO, as `flags` tell, or the functions: Debian builds with both, and removes their flags."""
    told = "--enable-optimizations" in flags or "-fprofile" in flags
    pgo = "PGO" if told or profiled else "PGO unknown" if profiled is None else "no PGO"
    lto = "LTO" if "--with-lto" in flags or "-flto" in flags else "no LTO" if told or pgo == "no PGO" else "LTO unknown"
    return [pgo, lto]


def aligns_frequent_functions_only() -> bool | None:
    """True if the compiler knew which functions are rare: it makes them small, so it does not align them.

    None where functions need not be aligned at all.
    """
    if platform.machine() != "x86_64" or not all(aligned(FREQUENT)):
        return None
    return not all(aligned(RARE))


def aligned(names: Iterable[str]) -> list[bool]:
    """For each of the functions in the C API that exist, True if it is aligned."""
    functions = [getattr(ctypes.pythonapi, name, None) for name in names]
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in functions if function is not None]
    return [address is not None and address % ALIGNMENT == 0 for address in addresses]
