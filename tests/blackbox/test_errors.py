"""Errors at startup: one line with advice, and a traceback only if the user's code
raised.
"""

import os
import socket
import subprocess
import sys

import pytest

from tests.support.server import PATIENCE, SOURCES

FILES = {
    "good.py": "async def app(scope, receive, send): ...",
    "number.py": "app = 5",
    "lacks.py": "import not_installed.part",
    "broken.py": "app = 1 / 0",
    "wrong.py": "def",
    "quits.py": "import sys\nsys.exit('no DATABASE_URL')",
    "fails.py": "def make():\n    raise RuntimeError('no DATABASE_URL\\nset one')\ndef nothing(): ...",
    "dies.py": (
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    ),
    "src/hidden.py": "",
    "bad.json": "{",
    "bad.ini": "nothing",
}
HERE = "{folder}"

# Arguments, exit code, line of the error, and the user's file where the traceback starts.
CASES = {
    "no application": ([], 2, "Error: Missing argument 'APP'.", None),
    "no attribute": (
        ["good"],
        3,
        'Import string "good" must be in format "<module>:<attribute>". Example: "good:app".',
        None,
    ),
    "a file": (["good.py:app"], 3, 'Expected the name of a module, not of a file: "good:app".', None),
    "no module": (
        ["nowhere:app"],
        3,
        f'Could not import module "nowhere". "nowhere" is neither in {HERE} nor installed.',
        None,
    ),
    "a module elsewhere": (["hidden:app"], 3, f"Found src/hidden.py: try --app-dir {HERE}/src.", None),
    "no such attribute": (
        ["good:application"],
        3,
        'Attribute "application" not found in module "good". Did you mean "good:app"?',
        None,
    ),
    "not callable": (
        ["number:app"],
        3,
        "Error loading ASGI app. 'number:app' is not callable: it is of type int.",
        None,
    ),
    "a missing requirement": (
        ["lacks:app"],
        3,
        'Module "lacks" raised ModuleNotFoundError when it was imported. Is "not_installed" installed in',
        "lacks.py",
    ),
    "a failing module": (
        ["broken:app"],
        3,
        'Module "broken" raised ZeroDivisionError when it was imported.',
        "broken.py",
    ),
    "a wrong module": (["wrong:app"], 3, 'Module "wrong" raised SyntaxError when it was imported.', "wrong.py"),
    "a module that quits": (["quits:app"], 1, "no DATABASE_URL", None),
    "a failing factory": (
        ["fails:make", "--factory"],
        3,
        "Error loading ASGI app factory: no DATABASE_URL set one",
        "fails.py",
    ),
    "a factory of nothing": (
        ["fails:nothing", "--factory"],
        3,
        "it returned an object of type NoneType, not an application.",
        None,
    ),
    "a failing start": (["dies:app"], 3, "ERROR:    Application startup failed. Exiting.", None),
    "a port in use": (
        ["good:app", "--port", "{taken}"],
        3,
        "address already in use. Another process is listening there: stop it,",
        None,
    ),
    "an address of another machine": (["good:app", "--host", "192.0.2.1"], 3, "choose another with --host.", None),
    "a unix socket nowhere": (
        ["good:app", "--uds", "no/s"],
        3,
        "no such file or directory. Its directory must exist.",
        None,
    ),
    "no descriptor": (
        ["good:app", "--fd", "99"],
        3,
        "file descriptor 99: Bad file descriptor. It must be an inherited socket.",
        None,
    ),
    "no log configuration": (
        ["good:app", "--log-config", "no.json"],
        2,
        "'--log-config': Path 'no.json' does not exist.",
        None,
    ),
    "a wrong log configuration": (
        ["good:app", "--log-config", "bad.json"],
        3,
        "Cannot set up logging with --log-config 'bad.json': ",
        None,
    ),
    "another one": (
        ["good:app", "--log-config", "bad.ini"],
        3,
        "Cannot set up logging with --log-config 'bad.ini': ",
        None,
    ),
    "no environment file": (
        ["good:app", "--env-file", "no.env"],
        2,
        "'--env-file': Path 'no.env' does not exist.",
        None,
    ),
    "a wrong access format": (
        ["good:app", "--access-log-format", "%(x)s"],
        2,
        "--access-log-format: %(x)s is not an atom;",
        None,
    ),
    "a wrong log format": (
        ["good:app", "--log-format", "xml"],
        2,
        "'--log-format': 'xml' is not one of 'text', 'json'.",
        None,
    ),
    "a wrong port": (
        ["good:app", "--port", "70000"],
        2,
        "--port must be a number between 0 and 65535, not 70000",
        None,
    ),
    "no loop": (
        ["good:app", "--loop", "nowhere:loop"],
        3,
        'Error loading custom loop setup function. Could not import module "nowhere".',
        None,
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "src").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def taken():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


@pytest.mark.parametrize("case", CASES)
def test_startup_error_is_one_line_with_advice(case, folder, taken):
    arguments, code, expected, culprit = CASES[case]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PRONGHORN_", "UVICORN_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pronghorn", *(each.format(taken=taken) for each in arguments), "--no-use-colors"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if expected.format(folder=folder) in line]
    assert len(lines) == 1, done.stderr
    if culprit is None:
        assert "Traceback" not in done.stderr
    else:
        traceback = done.stderr[done.stderr.index("\n  File ") :]
        assert traceback.startswith(f'\n  File "{folder / culprit}"')
        assert str(SOURCES) not in traceback


def test_missing_httptools_is_one_line(folder):
    """The requested parser is not installed."""
    (folder / "without.py").write_text(
        "import sys\nsys.modules['httptools'] = None\nasync def app(scope, receive, send): ...\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pronghorn", "without:app", "--http", "httptools", "--lifespan", "off"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 3
    assert "ERROR:    --http httptools needs httptools: pip install 'pronghorn[standard]'." in done.stderr
    assert "Traceback" not in done.stderr
