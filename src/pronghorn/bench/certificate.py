"""A self-signed certificate for servers that are measured over TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

CERTIFICATE, KEY = "certificate.pem", "key.pem"


class CertificateFailed(Exception):
    """No certificate could be made; the text says why."""


def make(directory: Path) -> None:
    """Put a certificate and its key into `directory`, unless they are there. Raises CertificateFailed."""
    if (directory / CERTIFICATE).exists():
        return
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    try:
        subprocess.run(
            ["openssl", *arguments.split(), "-keyout", KEY, "-out", CERTIFICATE],
            cwd=directory,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        raise CertificateFailed("a certificate needs openssl, which is not installed") from None
    except subprocess.CalledProcessError as error:
        raise CertificateFailed(f"openssl makes no certificate: {error.stderr.strip()}") from None
