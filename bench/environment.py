"""The benchmarks' own virtual environment: `python -m bench.environment` makes it, and `python -m bench` uses it.

It holds the peers and frameworks of requirements.txt, the tools, and this checkout, compiled.
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


def main() -> None:
    """Make it anew."""
    parser = argparse.ArgumentParser("python -m bench.environment", description="Make the benchmarks' environment.")
    parser.parse_args()
    venv.create(DIRECTORY, clear=True, with_pip=True)
    requirements = ["-r", str(ROOT / "bench" / "requirements.txt"), f"{ROOT}[standard,tls,bench]"]
    done = subprocess.run(
        [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *requirements],
        env={**os.environ, "PRONGHORN_BUILD": "required"},
        cwd=DIRECTORY,
        timeout=1800,
    )
    if done.returncode:
        (DIRECTORY / "pyvenv.cfg").unlink()  # half an environment would be taken for a whole one
        sys.exit(done.returncode)
    print(f"python -m bench now runs in {DIRECTORY.relative_to(ROOT)}")


def enter(module: str = "bench") -> None:
    """Go on with `module` in the environment if it is there: with the same arguments, in place of this process."""
    if not (DIRECTORY / "pyvenv.cfg").exists():
        print("bench: in this interpreter; python -m bench.environment makes one with all servers", file=sys.stderr)
    elif Path(sys.prefix) != DIRECTORY:
        print(f"bench: in {DIRECTORY.relative_to(ROOT)}", file=sys.stderr)
        os.execv(PYTHON, [str(PYTHON), "-m", module, *sys.argv[1:]])


if __name__ == "__main__":
    main()
