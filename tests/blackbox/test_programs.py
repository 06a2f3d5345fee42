"""Programs written for uvicorn, in every way to run it: with only the import changed they behave the same."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.support.server import PATIENCE, SOURCES, Lines, lacks

pytest.importorskip("uvicorn")

# The module `main.py` of every program.
APPLICATION = """
import contextlib

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["path"].encode()})

def create_app():
    return app

def create_loop():
    import asyncio
    return asyncio.new_event_loop()

async def living(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            scope["state"]["answer"] = b"42"
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["state"]["answer"]})

async def unable(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""

PROGRAMS = {
    "run an import string": """
        if __name__ == "__main__":
            uvicorn.run("main:app", host="127.0.0.1", port=0, log_level="info")
        """,
    "run an application": """
        from main import app
        if __name__ == "__main__":
            uvicorn.run(app, port=0)
        """,
    "run a factory": """
        uvicorn.run("main:create_app", factory=True, port=0)
        """,
    "run a factory that does not say so": """
        uvicorn.run("main:create_app", port=0)
        """,
    "run with a lifespan": """
        uvicorn.run("main:living", port=0, lifespan="on")
        """,
    "run with a loop of its own": """
        uvicorn.run("main:app", port=0, loop="main:create_loop")
        """,
    "run with a changed format": """
        log_config = uvicorn.config.LOGGING_CONFIG
        log_config["formatters"]["access"]["fmt"] = "INFO access %(levelname)s %(message)s"
        log_config["formatters"]["default"]["fmt"] = "INFO default %(levelname)s %(message)s"
        uvicorn.run("main:app", port=0, log_config=log_config, headers=[("x-served-by", "me")])
        """,
    "run a server": """
        config = uvicorn.Config("main:app", port=0, log_level="info")
        server = uvicorn.Server(config)
        server.run()
        """,
    "serve in a loop that is there": """
        import asyncio

        async def main():
            config = uvicorn.Config("main:app", port=0, log_level="info")
            server = uvicorn.Server(config)
            await server.serve()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    "serve beside other tasks": """
        import asyncio

        async def work():
            await asyncio.sleep(0)

        async def main():
            server = uvicorn.Server(uvicorn.Config("main:living", port=0))
            await asyncio.gather(server.serve(), work())

        asyncio.run(main())
        """,
    "serve a socket that is bound": """
        config = uvicorn.Config("main:app", port=0)
        sock = config.bind_socket()
        sock.listen()
        uvicorn.Server(config).run(sockets=[sock])
        """,
    "run from the module main": """
        import importlib

        importlib.import_module(f"{uvicorn.__name__}.main").run("main:app", port=0)
        """,
    "supervise a server that is reloaded": """
        import importlib

        class Server(uvicorn.Server):
            def run(self, sockets=None):
                print("INFO: in a process", flush=True)
                super().run(sockets=sockets)

        if __name__ == "__main__":
            supervisors = importlib.import_module(f"{uvicorn.__name__}.supervisors")
            config = uvicorn.Config("main:living", port=0, reload=True)
            sock = config.bind_socket()
            supervisors.ChangeReload(config, target=Server(config).run, sockets=[sock]).run()
        """,
    "supervise workers": """
        import importlib

        if __name__ == "__main__":
            supervisors = importlib.import_module(f"{uvicorn.__name__}.supervisors")
            config = uvicorn.Config("main:app", port=0, workers=1)
            supervisors.Multiprocess(config, sockets=[config.bind_socket()]).run()
        """,
    "log connections": """
        uvicorn.run("main:app", port=0, log_level="trace", loop="asyncio")
        """,
    "call the command": """
        uvicorn.main(["main:app", "--port", "0", "--no-access-log"])
        """,
}

# Programs that end by themselves.
SCRIPTS = {
    "a server in a thread": """
        import contextlib, threading, time, urllib.request

        class Server(uvicorn.Server):
            def install_signal_handlers(self):
                pass

            @contextlib.contextmanager
            def run_in_thread(self):
                thread = threading.Thread(target=self.run)
                thread.start()
                try:
                    while not self.started:
                        time.sleep(0.001)
                    yield
                finally:
                    self.should_exit = True
                    thread.join()

        config = uvicorn.Config("main:living", port=0, log_level="info")
        server = Server(config=config)
        with server.run_in_thread():
            port = server.servers[0].sockets[0].getsockname()[1]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/a") as answer:
                body = answer.read()
        print(f"INFO answer {body} {server.server_state.total_requests}")
        """,
    "a server that a task stops": """
        import asyncio

        async def main():
            server = uvicorn.Server(uvicorn.Config("main:living", port=0))
            task = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.001)
            server.should_exit = True
            await task

        asyncio.run(main())
        """,
    "an application that is not there": 'uvicorn.run("main:missing", port=0)',
    "a module that is not there": 'uvicorn.run("missing:app", port=0)',
    "a lifespan that fails": 'uvicorn.run("main:unable", port=0)',
    "a server whose lifespan fails": 'uvicorn.Server(uvicorn.Config("main:unable", port=0)).run()',
    "a port that is taken": """
        import socket

        with socket.create_server(("127.0.0.1", 0)) as sock:
            uvicorn.run("main:living", port=sock.getsockname()[1])
        """,
    "the version": 'uvicorn.main(["--version"])',
    "a flag that is not there": 'uvicorn.main(["main:app", "--nothing"])',
}

COMMANDS = [
    ["main:app", "--port", "0", "--host", "127.0.0.1"],
    ["--factory", "main:create_app", "--port=0", "--header", "X-A:1", "--no-server-header"],
    ["main:living", "--port", "0", "--root-path", "/api", "--lifespan", "on", "--no-access-log"],
]


class Program:
    """A program that uses one of the two servers, and its output."""

    def __init__(self, folder, arguments, package):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PRONGHORN_", "UVICORN_"))}
        environment |= {"PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1", "no_proxy": "*"}
        if lacks("compiled"):  # our server would log a warning
            environment["PRONGHORN_PURE"] = "1"
        self.package = package
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = [Lines(self.popen.stdout), Lines(self.popen.stderr)]

    def ask(self):
        """Send a request; return the response without the fields that may differ."""
        port = self.lines[1].wait_for(r"running on http://127.0.0.1:(\d+)")[1]
        # A socket bound before is announced before it listens.
        self.lines[1].wait_for(r"Application startup complete|unsupported")
        return self.fetch(port)

    def fetch(self, port):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = opener.open(f"http://127.0.0.1:{port}/a%20b?q=1", timeout=PATIENCE)
                break
            except urllib.error.URLError as error:  # a worker logs its start before it listens
                if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > end:
                    raise
                time.sleep(0.01)
        with answer:
            kept = {name.lower() for name in answer.headers} - {"transfer-encoding", "content-length"}
            return answer.status, answer.read(), kept

    def outcome(self):
        """Wait for the end; return the exit code and the lines of both streams without their variable parts."""
        code = self.popen.wait(PATIENCE)
        return code, [self._told(lines.wait_for_end()) for lines in self.lines]

    def _told(self, text):
        text = re.sub(r"\[\d+\]|(?<=127\.0\.0\.1:)\d+|(?<=127\.0\.0\.1', )\d+", "N", text)
        text = re.sub(r"\[errno \d+\] ", "", text)  # asyncio's loop prints it twice
        text = re.sub(rf"(?i){self.package}(?: \d+\.\d+\.\d+)?", "server", text)
        return [line for line in text.splitlines() if re.match("INFO|WARNING|ERROR|CRITICAL|Running|Error", line)]

    def end(self):
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def pair(tmp_path):
    """A function that starts a command or a program's text with uvicorn and with pronghorn."""
    started = []
    (tmp_path / "main.py").write_text(APPLICATION)

    def start(program):
        for package in ("uvicorn", "pronghorn"):
            arguments = ["-m", package, *program]
            if isinstance(program, str):
                name = f"with_{package}.py"
                text = "\n".join(line.removeprefix(" " * 8) for line in program.splitlines())
                (tmp_path / name).write_text(f"import {package} as uvicorn\n{text}\n")
                arguments = [name]
            started.append(Program(tmp_path, arguments, package))
        return started

    yield start
    for program in started:
        program.end()


def interrupt(programs):
    for program in programs:
        program.popen.send_signal(signal.SIGINT)
    return [program.outcome() for program in programs]


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_serving_program_behaves_as_with_uvicorn(pair, name):
    programs = pair(PROGRAMS[name])
    theirs, ours = [program.ask() for program in programs]
    assert ours == theirs
    theirs, ours = interrupt(programs)
    assert ours == theirs


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_program_ends_as_with_uvicorn(pair, name):
    theirs, ours = [program.outcome() for program in pair(SCRIPTS[name])]
    assert ours[0] == theirs[0]
    # In any order: our access log is written in batches. A startup error is the last line, and ours may
    # end with advice.
    for mine, others in zip(ours[1], theirs[1], strict=True):
        for line, other in zip(sorted(mine), sorted(others), strict=True):
            assert line.startswith(other)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_command_behaves_as_with_uvicorn(pair, arguments):
    programs = pair(arguments)
    theirs, ours = [program.ask() for program in programs]
    assert ours == theirs
    theirs, ours = interrupt(programs)
    assert ours == theirs
