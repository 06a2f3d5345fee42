"""Certificates for tests, and the client context that trusts them."""

from __future__ import annotations

import base64
import hashlib
import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

PASSWORD = "open sesame"


class Certificates:
    """A certificate authority, and its certificates for a server, for another name and for a client.

    All are files in `directory`.
    """

    def __init__(self, directory: Path) -> None:
        self.authority = directory / "authority.pem"
        self.certificate = directory / "certificate.pem"
        self.key = directory / "key.pem"
        self.both = directory / "both.pem"
        self.locked_key = directory / "locked-key.pem"
        self.other_key = directory / "other-key.pem"
        self.elsewhere = directory / "elsewhere.pem"
        self.client = directory / "client.pem"
        authority = trustme.CA()
        server = authority.issue_cert("localhost", "127.0.0.1", "::1")
        authority.cert_pem.write_to_path(self.authority)
        server.cert_chain_pems[0].write_to_path(self.certificate)
        server.private_key_pem.write_to_path(self.key)
        server.private_key_and_cert_chain_pem.write_to_path(self.both)
        elsewhere = authority.issue_cert("elsewhere")
        elsewhere.private_key_pem.write_to_path(self.other_key)
        elsewhere.private_key_and_cert_chain_pem.write_to_path(self.elsewhere)
        authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(self.client)
        self.locked_key.write_bytes(
            serialization.load_pem_private_key(server.private_key_pem.bytes(), None).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(PASSWORD.encode()),
            )
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of `Config` for the server's certificate."""
        return {"ssl_certfile": str(self.certificate), "ssl_keyfile": str(self.key)}

    @property
    def flags(self) -> tuple[str, ...]:
        """The command-line options for the server's certificate."""
        return ("--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(self.key))

    @property
    def fingerprint(self) -> str:
        """The hash of the server's public key, by which Chromium can be told to trust it."""
        key = x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_key()
        encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(encoded).digest()).decode()

    def trust(self) -> ssl.SSLContext:
        """A client context that trusts the authority."""
        return ssl.create_default_context(cafile=self.authority)
