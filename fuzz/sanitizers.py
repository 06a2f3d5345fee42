"""A build of the compiled form for clang's sanitizers, apart from the checkout's own.

`python -m fuzz.sanitizers ARGUMENT...` runs Python with it, for example `-m pytest tests/wire`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path("build/sanitized").absolute()
# Undefined behaviour traps, so it needs no library of its own. Calls of Cython's functions by a pointer of another type
# are many, and harmless on every machine that we build for.
FLAGS = (
    "-fsanitize=address,undefined,fuzzer-no-link -fsanitize-trap=undefined -fno-sanitize=function -gline-tables-only"
)


def environment() -> dict[str, str]:
    """Build, and return the variables that a process needs to load the build. Raises CalledProcessError."""
    import atheris  # not needed to read the outcome of a run

    build()
    return {
        "PYTHONPATH": str(FOLDER),
        # Every object in memory of its own, which AddressSanitizer watches.
        "PYTHONMALLOC": "malloc",
        "LD_PRELOAD": str(Path(atheris.path(), "asan_with_fuzzer.so")),
        # CPython leaves its own objects at exit.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
    }


def build() -> None:
    """Build all of pronghorn in `FOLDER`, compiled by clang. Raises CalledProcessError."""
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", f"--build-base={FOLDER}-objects", f"--build-lib={FOLDER}"],
        env={**os.environ, "CC": "clang", "LDSHARED": "clang -shared", "CFLAGS": FLAGS, "PRONGHORN_BUILD": "required"},
        timeout=900,
        check=True,
    )


if __name__ == "__main__":
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], {**os.environ, **environment()})
