"""The benchmarks' own virtual environment: `python -m bench.environment` makes it, and `python -m bench` uses it.

It holds the other servers and the frameworks of requirements.txt, the tools, and this checkout, compiled; when the
checkout has changed, `python -m bench` installs it again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Ignored by git.
DIRECTORY = ROOT / "build" / "bench-environment"
PYTHON = DIRECTORY / "bin" / "python"
# Touched by every installation.
STAMP = DIRECTORY / "installed"
SOURCES = (".py", ".pxd", ".pyx", ".lua", ".toml")


def main() -> None:
    """Create it, in place of an older one."""
    parser = argparse.ArgumentParser("python -m bench.environment", description="Make the benchmarks' environment.")
    parser.parse_args()
    venv.create(DIRECTORY, clear=True, with_pip=True)
    install("-r", str(ROOT / "bench" / "requirements.txt"), f"{ROOT}[standard,tls,bench]")
    print(f"python -m bench now runs in {DIRECTORY.relative_to(ROOT)}")


def enter(module: str = "bench") -> None:
    """Execute `module` with the same arguments in the environment, in place of this process, if it exists."""
    if not STAMP.exists():
        print("bench: in this interpreter; python -m bench.environment makes one with all servers", file=sys.stderr)
    elif Path(sys.prefix) != DIRECTORY:
        if changed():
            print("bench: installs the checkout again, which has changed", file=sys.stderr)
            install("--quiet", "--no-deps", "--force-reinstall", str(ROOT))
        print(f"bench: in {DIRECTORY.relative_to(ROOT)}", file=sys.stderr)
        os.execv(PYTHON, [str(PYTHON), "-m", module, *sys.argv[1:]])


def install(*what: str) -> None:
    """Install with pip, and compile pronghorn. Ends the process if that fails."""
    done = subprocess.run(
        [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *what],
        env={**os.environ, "PRONGHORN_BUILD": "required"},
        cwd=DIRECTORY,
        timeout=1800,
    )
    if done.returncode:
        sys.exit(done.returncode)
    STAMP.touch()


def changed() -> bool:
    """True if a source is newer than the installation."""
    installed = STAMP.stat().st_mtime
    sources = [ROOT / "setup.py", ROOT / "pyproject.toml", *(ROOT / "src").rglob("*"), *(ROOT / "ext").rglob("*")]
    return any(path.suffix in SOURCES and path.stat().st_mtime > installed for path in sources)


if __name__ == "__main__":
    main()
