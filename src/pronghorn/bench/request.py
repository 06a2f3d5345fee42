"""The request to every server of a comparison, and the load that sends it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pronghorn.bench.load import Client, Loader, Wrk

# wrk calls `request` for each request: it returns the files in turn.
SCRIPT = """\
dofile("report.lua")
local messages, turn = {{}}, 0
for index, name in ipairs({{ {names} }}) do
  local file = assert(io.open(name, "rb"))
  messages[index] = file:read("*a")
  file:close()
end
function request()
  turn = turn % #messages + 1
  return messages[turn]
end
"""


@dataclass(frozen=True)
class Request:
    """One request for each of the `targets`, with the same fields and body."""

    method: str = "GET"
    targets: Sequence[str] = ("/",)
    fields: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def messages(self) -> dict[str, bytes]:
        """The bytes of each request, by its target; they are the same for every server and every load."""
        given = {name.lower() for name, _ in self.fields}
        fields = [("Host", "127.0.0.1")] if "host" not in given else []
        fields += self.fields
        if self.body:
            fields.append(("Content-Length", str(len(self.body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return {
            target: f"{self.method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + self.body
            for target in self.targets
        }

    def __str__(self) -> str:
        sent = f" with {len(self.body):,} bytes" if self.body else ""
        return f"{self.method} {' and '.join(self.targets)}{sent}"


def loader(request: Request, connections: int, directory: Path) -> Loader:
    """wrk if it is installed, else client.py. Writes the requests into `directory`."""
    paths = []
    for number, message in enumerate(request.messages().values()):
        paths.append(directory / f"request-{number}")
        paths[-1].write_bytes(message)
    if shutil.which("wrk") is None:
        return Client(paths, connections)
    script = directory / "requests.lua"
    script.write_text(SCRIPT.format(names=", ".join(f"[==[{path}]==]" for path in paths)))
    return Wrk(script, connections)
