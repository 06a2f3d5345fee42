"""nginx with one worker and a fixed reply to every request: the cost of a web server in C."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tools.web_servers import nginx_configuration, program

HTTP = """\
keepalive_requests 1000000000;
server {{
    listen 127.0.0.1:{port} backlog=2048;
    default_type "text/plain; charset=utf-8";
    location / {{ return 200 "Hello, world!"; }}
}}
"""


def main() -> None:
    """Execute nginx in place of this process, with a folder for its configuration and files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    options = parser.parse_args()
    nginx = program("nginx")
    if nginx is None:
        sys.exit("nginx is not installed")
    directory = options.directory / f"nginx-{options.port}"
    directory.mkdir()
    configuration = nginx_configuration(HTTP.format(port=options.port), connections=16384)
    (directory / "nginx.conf").write_text(configuration)
    os.execv(nginx, [nginx, "-p", str(directory), "-c", "nginx.conf"])


def version() -> dict[str, str]:
    """Its version, if it is installed."""
    nginx = program("nginx")
    if nginx is None:
        return {}
    output = subprocess.run([nginx, "-v"], capture_output=True, text=True, timeout=10).stderr
    return {"nginx": output.rpartition("/")[2].strip()}


if __name__ == "__main__":
    main()
