"""The fenced blocks of the documentation, and a `Reader` that follows one page in its own folder."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import PATIENCE, SOURCES, Lines

ROOT = Path(__file__).resolve().parents[2]
PAGES = {page.name: page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

_FENCE = re.compile(r"( *)(```+|~~~+) *([\w-]*)(.*)")
_INCLUDED = re.compile(r'--8<-- "(.+)"')
_TITLE = re.compile(r'title="([^"]+)"')
_PORT = re.compile(r"(?:(?:localhost|[\d.]{7,}|\]|\*):|--port[ =]|\bport ?= ?|runserver )([1-9]\d{3,4})\b")
_SYSTEM = re.compile(r"(?<![\w.])/(run|srv|etc|var/\w+)/")
_PLACE = re.compile(r"(?<![\w-])(?:--)?(?:port|bind|uds|fd)\b")
_SERVING = re.compile(r"running on |Listening (?:at:|on) ")
_SERVER = re.compile(
    r"(\w+=\S+ )*(python -m )?(pronghorn(?! check| bench| top)|uvicorn|gunicorn|systemd-socket-activate)\b"
    r"(?!.* --(version|help)\b)"
)

# Parts of the output that differ from run to run.
_VOLATILE = re.compile(
    "|".join(
        (
            r"\[\d\d+\]",  # a process
            r"(?<=127\.0\.0\.1:)\d{5}\b",  # a client's port
            r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT",
            r"\d{4}-\d\d-\d\d[T ][\d:]{8}[.,]\d{3}Z?",
            r"\d\d/\w{3}/\d{4}:[\d:]{8} [+-]\d{4}",
            r"\b\d\.\d{6}\b",  # a duration
            r"(?m:^(?:wire|loop|deflate|TLS) +.*)",  # lines of `pronghorn check` that depend on what is installed
        )
    )
)

# Printed where the package was installed without a compiler.
_INTERPRETED = "WARNING:  Running interpreted, several times slower: the compiled form was not built.\n"

_RUNNER = """
import ast, asyncio, inspect, sys
path = sys.argv[1]
code = compile(open(path).read(), path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
result = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(result):
    asyncio.run(result)
"""


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command of a shell block, with its output if the block is a `console`."""
        text = self.text.replace("\\\n", " ")
        if self.language == "sh":
            yield from ((line.partition("  #")[0].strip(), "") for line in text.splitlines() if line.strip(" #"))
            return
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield re.sub(r" +", " ", command), output


def blocks(page: Path) -> Iterator[Block]:
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if fence := _FENCE.fullmatch(line):
            indent, mark, language, rest = fence.groups()
            title = _TITLE.search(rest)
            content = []
            for _, inner in lines:
                if inner.strip() == mark:
                    break
                if included := _INCLUDED.fullmatch(inner):
                    content.append((ROOT / included[1]).read_text(encoding="utf-8"))
                else:
                    content.append(inner.removeprefix(indent) + "\n")
            yield Block(page.name, number, language, title[1] if title else "", "".join(content))


def shown(expected: str) -> re.Pattern[str]:
    """A pattern for `expected`: `...` matches any text, and any number of lines if it is alone on a line."""
    whole_lines = re.split(r"^\.\.\.\n", expected, flags=re.MULTILINE)
    return re.compile(r"(?:.*\n)*?".join(".*?".join(map(re.escape, each.split("..."))) for each in whole_lines))


class Output(Lines):
    """The output of a command on both streams."""

    def wait_until(self, condition: Callable[[str], object]) -> bool:
        """Wait until the text fulfils `condition` or ends; return whether it does."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or condition(self.whole()), PATIENCE)
            return bool(condition(self.whole()))

    def whole(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)


class Reader:
    """Follows one page. Free ports replace those in the text.

    A server runs until the next one starts.
    """

    def __init__(self, folder: Path, page: str) -> None:
        self.folder = folder
        self._ports = {port: _free_port() for port in {"8000", *_PORT.findall(page)}}
        self._outputs: list[Output] = []
        self._server: subprocess.Popen[str] | None = None
        self._code = 0
        (folder / ".curlrc").write_text("silent\nshow-error\nno-buffer\nmax-time = 20\n")

    def write(self, title: str, text: str) -> Path:
        """Write a file of the page. Only the last part of an absolute path is used."""
        path = self.folder / (Path(title).name if Path(title).is_absolute() else title)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._with_free_ports(text))
        return path

    def program(self, text: str) -> None:
        """Run a Python block that has no title."""
        self.write("_program.py", text)
        self.write("_runner.py", _RUNNER)
        self.command("python _runner.py _program.py", "")

    def command(self, command: str, expected: str) -> None:
        """Run `command` and compare its output if the page shows it. `$?` is the previous command's exit code."""
        if self._serves(command):
            self.stop()
        process = subprocess.Popen(
            ["bash", "-c", f"(exit {self._code})\n{self._here(command)}"],
            cwd=self.folder,
            env=self._environment(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        output = Output(process.stdout)
        self._outputs.append(output)
        try:
            if self._serves(command) and output.wait_until(_SERVING.search):
                self._server = process
                _wait_until_accepting(output.whole())
                at_once, interrupt, at_the_end = expected.partition("^C\n")
                self._compare(command, output, at_once)
                if interrupt:
                    self.stop(signal.SIGINT)
                    self._compare(command, output, at_the_end)
                return
            self._code = process.wait(PATIENCE)
        finally:
            if process is not self._server:
                _end(process, signal.SIGKILL)
        output.wait_for_end()
        assert not self._code or expected, f"{command}\nends with {self._code}:\n{output.whole()}"
        if expected:
            self._compare(command, output, expected, whole=True)

    def saw(self, text: str) -> None:
        """Check that a command has printed `text`, or that the server will."""
        pattern = shown(_without_volatile(text))
        outputs = reversed(self._outputs)
        assert any(each.wait_until(lambda said: pattern.search(self._as_shown(said))) for each in outputs), (
            f"nothing has printed\n{text}\nbut\n{self._outputs[-1].whole() if self._outputs else ''}"
        )

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._server is not None:
            process, self._server = self._server, None
            _end(process, number)

    def _compare(self, command: str, output: Output, expected: str, whole: bool = False) -> None:
        pattern = shown(_without_volatile(expected))
        compare = pattern.fullmatch if whole else pattern.search
        assert output.wait_until(lambda said: compare(self._as_shown(said))), (
            f"{command}\nprinted\n{output.whole()}\nthe page shows\n{expected}"
        )

    def _serves(self, command: str) -> bool:
        if _SERVER.match(command) or "manage.py runserver" in command:
            return True
        script = re.match(r"python (?:_runner\.py )?(\w+\.py)", command)
        return script is not None and "pronghorn.run(" in (self.folder / script[1]).read_text()

    def _environment(self, command: str) -> dict[str, str]:
        ours = ("PRONGHORN_BUILD", "UVICORN_", "PYTHON", "WEB_CONCURRENCY", "FORWARDED_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        project = self.folder / "pyproject.toml"
        settings = project.read_text() if project.exists() else ""
        if not _PLACE.search(command + settings):
            environment["PRONGHORN_PORT"] = self._ports["8000"]
        scripts = sysconfig.get_path("scripts")
        return environment | {
            "CURL_HOME": str(self.folder),
            "PATH": f"{scripts}{os.pathsep}{environment['PATH']}",
            "PYTHONPATH": str(SOURCES),
            "PYTHONUNBUFFERED": "1",
        }

    def _with_free_ports(self, text: str) -> str:
        return _replace(self._ports, text)

    def _here(self, command: str) -> str:
        """Replace the system's folders, which we may not write to, with folders of the page."""
        for name in _SYSTEM.findall(command):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return _SYSTEM.sub(rf"{self.folder}/\1/", self._with_free_ports(command))

    def _as_shown(self, text: str) -> str:
        text = text.replace(f"{self.folder}/", "/").replace(_INTERPRETED, "")
        return _without_volatile(_replace({free: port for port, free in self._ports.items()}, text))


@contextlib.contextmanager
def reader(folder: Path, page: str) -> Iterator[Reader]:
    following = Reader(folder, page)
    try:
        yield following
    finally:
        following.stop()


def _without_volatile(text: str) -> str:
    return _VOLATILE.sub("?", text)


def _replace(words: dict[str, str], text: str) -> str:
    return re.sub(rf"\b(?:{'|'.join(words)})\b", lambda found: words[found[0]], text)


def _wait_until_accepting(said: str) -> None:
    """Wait until the server accepts connections: several processes announce the address before any listens."""
    if found := re.search(r"https?://[^/\s]*:(\d+)", said):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(found[1]))):
                return
            time.sleep(0.02)


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return str(sock.getsockname()[1])


def _end(process: subprocess.Popen[str], number: int) -> None:
    """Signal the whole process group, then kill it if it does not end in time."""
    for each in (number, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, each)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
            return
