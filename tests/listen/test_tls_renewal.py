"""Certificates of a running server: when they are read again."""

from __future__ import annotations

import logging
import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

from pronghorn.config import Config
from pronghorn.listen.tls_renewal import Renewal
from tests.support.certificates import Certificates


async def app(scope: Any, receive: Any, send: Any) -> None: ...


class Served:
    """A configuration with copies of the certificate and the key."""

    def __init__(self, certificates: Certificates, directory: Path, **parameters: Any) -> None:
        self.certificate, self.key = directory / "certificate", directory / "key"
        shutil.copy(certificates.certificate, self.certificate)
        shutil.copy(certificates.key, self.key)
        self.config = Config(app, log_config=None, ssl_certfile=self.certificate, ssl_keyfile=self.key, **parameters)
        self.config.load()
        self.first = self.config.ssl
        self.renewal = Renewal(self.config)

    def is_renewed(self) -> bool:
        return self.config.ssl is not self.first


@pytest.fixture
def served(certificates: Certificates, tmp_path: Path) -> Served:
    return Served(certificates, tmp_path)


def touch(path: Path) -> None:
    """Change the modification time, whatever the file system's resolution."""
    then = os.stat(path).st_mtime_ns + 10**9
    os.utime(path, ns=(then, then))


def test_unchanged_files_are_not_read(served: Served) -> None:
    for _ in range(3):
        served.renewal.check()
    assert not served.is_renewed()


def test_change_is_taken_once_it_is_over(served: Served) -> None:
    touch(served.certificate)
    served.renewal.check()
    touch(served.key)
    served.renewal.check()
    assert not served.is_renewed()
    served.renewal.check()
    renewed = served.config.ssl
    assert served.is_renewed()
    served.renewal.check()
    assert served.config.ssl is renewed


def test_renewal_on_request_is_not_repeated(served: Served) -> None:
    touch(served.certificate)
    served.renewal.renew()
    renewed = served.config.ssl
    assert served.is_renewed()
    for _ in range(3):
        served.renewal.check()
    assert served.config.ssl is renewed


def test_change_before_the_start_is_not_missed(served: Served) -> None:
    touch(served.certificate)
    Renewal(served.config).check()  # at the first tick
    assert served.is_renewed()


def test_files_are_not_watched_if_unwanted(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(certificates, tmp_path, ssl_reload=False)
    monkeypatch.delattr(os, "stat")
    served.renewal.check()
    assert not served.is_renewed()


def test_error_of_context_factory_is_logged(
    certificates: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []

    def factory(asked: Config, default: Any) -> ssl.SSLContext:
        for error in errors:
            raise error
        context: ssl.SSLContext = default()
        return context

    served = Served(certificates, tmp_path, ssl_context_factory=factory)
    errors.append(ZeroDivisionError("in the factory"))
    served.renewal.renew()
    assert not served.is_renewed()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "keeping the old ones" in record.getMessage()
    assert record.exc_info is not None
    errors.clear()
    served.renewal.renew()
    assert served.is_renewed()
