"""Test an installed pronghorn: `python -m tools.wheels.trial compiled`, or `interpreted`.

Runs in the environment that it is installed in, from a folder without its sources. Serves the example with the command,
as a user would, then runs the tests of the hot path in that form and, on POSIX, some tests over sockets.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pronghorn
from pronghorn import backend

FOLDER = Path(__file__).resolve().parents[2]
TESTS = ["tests/wire", "tests/test_backend.py"]
SERVED = [f"tests/blackbox/test_{name}.py" for name in ("errors", "exchange", "life")]
SECONDS = 60


def main(form: str) -> None:
    """Run all tests; exit with the reason if one fails."""
    if not Path(pronghorn.__file__).resolve().is_relative_to(Path(sys.prefix).resolve()):
        sys.exit(f"This is not the installed one: {pronghorn.__file__}")
    if backend.load().name != form:
        sys.exit(f"The form in use is {backend.load().name}, not {form}.")
    serve()
    print(f"{form}: served", flush=True)
    sys.exit(run_tests(form))


def serve() -> None:
    """Serve the example on a free port, and request it."""
    program = shutil.which("pronghorn", path=sysconfig.get_path("scripts"))
    if program is None:
        sys.exit("The command pronghorn was not installed.")
    command = [program, "--app-dir", str(FOLDER / "examples"), "--port", "0", "hello:app"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        patience = threading.Timer(SECONDS, server.kill)
        patience.start()
        try:
            assert server.stderr is not None
            said = ""
            for line in server.stderr:
                said += line
                if found := re.search(r"running on http://([\d.]+):(\d+)", line):
                    break
            else:
                sys.exit(f"The server did not start.\n{said}")
            answer = ask(found[1], int(found[2]))
            if answer != (200, b"Hello from pronghorn\n"):
                sys.exit(f"The server answered {answer}.")
            server.terminate()
            server.communicate(timeout=SECONDS)
        finally:
            patience.cancel()
            server.kill()
    if os.name == "posix" and server.returncode not in (0, -signal.SIGTERM):
        sys.exit(f"The server ended with {server.returncode}.")


def ask(host: str, port: int) -> tuple[int, bytes]:
    """Request `/`; return status and body."""
    client = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        client.request("GET", "/")
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


def run_tests(form: str) -> int:
    """Run pytest; return its exit status."""
    other = "interpreted" if form == "compiled" else "compiled"
    chosen = TESTS + (SERVED if os.name == "posix" else [])
    settings = {"CI": "true", "PYTHONUTF8": "1"} | ({"PRONGHORN_BUILD": "required"} if form == "compiled" else {})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"not {other}", *chosen]
    return subprocess.run(command, cwd=FOLDER, env=os.environ | settings).returncode


if __name__ == "__main__":
    main(sys.argv[1])
