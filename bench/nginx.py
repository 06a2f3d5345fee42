"""nginx with one worker and a fixed reply to every request: the cost of a web server in C."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFIGURATION = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        default_type "text/plain; charset=utf-8";
        location / {{ return 200 "Hello, world!"; }}
    }}
}}
"""


def main() -> None:
    """Become nginx, with its own folder for the configuration and its files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    options = parser.parse_args()
    nginx = programme()
    if nginx is None:
        sys.exit("nginx is not installed")
    directory = options.directory / f"nginx-{options.port}"
    directory.mkdir()
    (directory / "nginx.conf").write_text(CONFIGURATION.format(port=options.port))
    os.execv(nginx, [nginx, "-p", str(directory), "-c", "nginx.conf"])


def programme() -> str | None:
    """The path of nginx, None if it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def version() -> dict[str, str]:
    """Its version, if it is installed."""
    nginx = programme()
    if nginx is None:
        return {}
    told = subprocess.run([nginx, "-v"], capture_output=True, text=True, timeout=10).stderr
    return {"nginx": told.rpartition("/")[2].strip()}


if __name__ == "__main__":
    main()
