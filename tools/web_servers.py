"""The web servers that benchmarks and tests run: their programs, and a configuration for nginx."""

from __future__ import annotations

import shutil

# One process in the foreground, since workers would run as another user, which writes only into the folder of `-p`.
_NGINX = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
access_log off;
client_body_temp_path body;
proxy_temp_path proxy;
fastcgi_temp_path fastcgi;
uwsgi_temp_path uwsgi;
scgi_temp_path scgi;
{http}
}}
"""


def program(name: str) -> str | None:
    """The path of a web server's program; None if it is not installed."""
    # Not every user has this folder on the PATH.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def nginx_configuration(http: str, connections: int = 1024) -> str:
    """The configuration of nginx for `-p FOLDER`, with `http` inside its block of that name."""
    return _NGINX.format(http=http, connections=connections)
