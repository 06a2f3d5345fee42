"""The TLS context of a configuration, and the one-line error for each invalid configuration."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from pronghorn.config import Config, ConfigError
from pronghorn.errors import StartupError
from pronghorn.listen import tls_context, tls_server
from pronghorn.listen.tls_context import make_context
from tests.support.certificates import PASSWORD, Certificates
from tests.support.engines import make_readers


def config(**parameters: Any) -> Config:
    return Config("tests.listen.test_tls_context:app", log_config=None, **parameters)


async def app(scope: Any, receive: Any, send: Any) -> None: ...


class Unreported:
    """A report that nobody reads."""

    def warn(self, message: str, *arguments: object) -> None: ...

    def count(self, cell: int) -> None: ...


def refusal(**parameters: Any) -> str:
    with pytest.raises(StartupError) as caught:
        make_context(config(**parameters))
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_no_context_is_made_without_certificate() -> None:
    asked = config()
    asked.load()
    assert asked.ssl is None
    assert not asked.is_ssl


def test_load_makes_context(certificates: Certificates) -> None:
    asked = config(**certificates.parameters)
    assert asked.ssl is None
    asked.load()
    assert isinstance(asked.ssl, ssl.SSLContext)
    assert asked.ssl.protocol == ssl.PROTOCOL_TLS_SERVER
    assert asked.ssl.verify_mode == ssl.CERT_NONE


def test_context_has_all_options(certificates: Certificates) -> None:
    context = make_context(
        config(
            ssl_certfile=certificates.certificate,
            ssl_keyfile=certificates.locked_key,
            ssl_keyfile_password=PASSWORD,
            ssl_cert_reqs=ssl.CERT_REQUIRED,
            ssl_ca_certs=certificates.authority,
            ssl_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256",
        )
    )
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1
    names = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert names == ["ECDHE-ECDSA-AES128-GCM-SHA256"]


def test_one_file_may_hold_key_and_certificate(certificates: Certificates) -> None:
    assert make_context(config(ssl_certfile=certificates.both)) is not None


def test_missing_file_is_refused(certificates: Certificates) -> None:
    files = certificates.parameters
    for name in ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs"):
        flag = "--" + name.replace("_", "-")
        reason = refusal(**{**files, name: "/nowhere/file"})
        assert reason == f"{flag}: cannot read '/nowhere/file': No such file or directory."


def test_key_without_certificate_is_refused(certificates: Certificates) -> None:
    assert refusal(ssl_keyfile=certificates.key) == "TLS needs a certificate: --ssl-certfile is missing."


@pytest.mark.parametrize("kind", ["directory", "device"])
def test_file_that_is_not_regular_is_refused(tmp_path: Path, kind: str) -> None:
    path = os.fspath(tmp_path) if kind == "directory" else os.devnull
    assert refusal(ssl_certfile=path) == f"--ssl-certfile: cannot read {path!r}: Not a regular file."


@pytest.mark.parametrize("flag", ["--ssl-certfile", "--ssl-ca-certs"])
def test_file_that_goes_after_its_check_is_refused(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.setattr(tls_context, "_check_readable", lambda *arguments: None)
    files: dict[str, Any] = {**certificates.parameters, flag[2:].replace("-", "_"): "/nowhere/file"}
    assert refusal(**files) == f"{flag}: no certificate in '/nowhere/file'."


def test_wrong_password_is_refused(certificates: Certificates) -> None:
    files = {"ssl_certfile": certificates.certificate, "ssl_keyfile": certificates.locked_key}
    key = str(certificates.locked_key)
    assert refusal(**files, ssl_keyfile_password="no") == f"--ssl-keyfile-password is not the password of {key!r}."


def test_encrypted_key_without_password_is_refused(certificates: Certificates) -> None:
    files = {"ssl_certfile": certificates.certificate, "ssl_keyfile": certificates.locked_key}
    key = str(certificates.locked_key)
    assert refusal(**files) == f"The private key in {key!r} is encrypted: --ssl-keyfile-password is missing."


def test_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    certificate, key = str(certificates.certificate), str(certificates.other_key)
    assert refusal(ssl_certfile=certificate, ssl_keyfile=key) == (
        f"The private key in {key!r} does not belong to the certificate in {certificate!r}."
    )


def test_files_with_other_content_are_refused(certificates: Certificates, tmp_path: Path) -> None:
    certificate, key, other = certificates.certificate, certificates.key, tmp_path / "other"
    other.write_text("something else")
    files = {"ssl_certfile": certificate, "ssl_keyfile": key}
    name = repr(str(other))
    assert refusal(**{**files, "ssl_certfile": other}) == f"--ssl-certfile: no certificate in {name}."
    assert refusal(**{**files, "ssl_keyfile": other}) == f"--ssl-keyfile: no private key in {name}."
    assert refusal(**files, ssl_ca_certs=other) == f"--ssl-ca-certs: no certificate in {name}."
    assert refusal(ssl_certfile=certificate) == f"--ssl-certfile: no private key in {str(certificate)!r}."
    other.write_text(certificate.read_text().replace("MI", "!!"))
    assert refusal(**{**files, "ssl_certfile": other}).startswith(f"Cannot load the certificate in {name} with the key")


def test_unknown_numbers_are_refused(certificates: Certificates) -> None:
    files = certificates.parameters
    assert refusal(**files, ssl_version=99) == "--ssl-version: 99 is not a protocol of this Python."
    assert refusal(**files, ssl_cert_reqs=9) == "--ssl-cert-reqs: 9 is not 0, 1 or 2."


@pytest.mark.parametrize("protocol", [ssl.PROTOCOL_TLSv1, ssl.PROTOCOL_TLSv1_1, ssl.PROTOCOL_TLS_CLIENT])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_protocol_without_tls_1_2_for_servers_is_refused(certificates: Certificates, protocol: Any) -> None:
    message = refusal(**certificates.parameters, ssl_version=protocol)
    assert message == f"--ssl-version: {protocol.name} does not serve TLS 1.2 or later."


def test_unknown_cipher_is_refused(certificates: Certificates) -> None:
    files = certificates.parameters
    assert refusal(**files, ssl_ciphers="ROT13") == "--ssl-ciphers: no cipher of this OpenSSL in 'ROT13'."


def test_bad_certificate_of_name_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    certificate, key, other = certificates.certificate, certificates.key, tmp_path / "other"
    other.write_text("something else")

    def refused(entry: str) -> str:
        return refusal(**certificates.parameters, ssl_sni=[entry])

    assert refused(f"a.org=/nowhere/file,{key}").startswith("--ssl-sni a.org: cannot read '/nowhere/file'")
    assert refused(f"a.org={other},{key}") == f"--ssl-sni a.org: no certificate in {str(other)!r}."
    assert refused(f"a.org={certificate}") == f"--ssl-sni a.org: no private key in {str(certificate)!r}."
    assert refused(f"a.org={certificate},{certificates.other_key}").endswith(
        f"does not belong to the certificate in {str(certificate)!r}."
    )
    with pytest.raises(ConfigError, match=r"^ssl_sni: '1\.2\.3\.4' is not a host name") as caught:
        config(**certificates.parameters, ssl_sni=[f"1.2.3.4={certificate},{key}"])
    assert caught.value.parameter == "ssl_sni"
    assert refusal(ssl_sni=f"a.org={certificate},{key}") == "TLS needs a certificate: --ssl-certfile is missing."


def test_contexts_of_names_are_like_the_default(certificates: Certificates) -> None:
    asked = config(
        **certificates.parameters,
        ssl_sni=f"elsewhere={certificates.elsewhere}",
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        ssl_ca_certs=str(certificates.authority),
        ssl_ciphers="ECDHE+AESGCM",
    )
    asked.load()
    assert asked.ssl is not None
    chosen: Any = type("Handshake", (), {"context": None})()
    callback: Any = asked.ssl.sni_callback
    callback(chosen, "elsewhere", asked.ssl)
    assert chosen.context.verify_mode == ssl.CERT_REQUIRED
    assert chosen.context.get_ca_certs() == asked.ssl.get_ca_certs() != []
    assert chosen.context.get_ciphers() == asked.ssl.get_ciphers()
    assert tls_server.engine(asked) == "ssl"


def test_typed_password_is_asked_for_once(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [PASSWORD]
    tls_context._ask.cache_clear()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed.pop())
    asked = config(ssl_certfile=certificates.certificate, ssl_keyfile=certificates.locked_key)
    assert make_context(asked) is not None
    assert make_context(asked) is not None
    assert typed == []
    tls_context._ask.cache_clear()
    typed.append("no")
    assert refusal(ssl_certfile=certificates.certificate, ssl_keyfile=certificates.locked_key) == (
        f"That is not the password of {str(certificates.locked_key)!r}."
    )
    tls_context._ask.cache_clear()


def test_threads_that_start_together_ask_for_a_password_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = []
    begun, typed = threading.Event(), threading.Event()

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        begun.set()
        assert typed.wait(10)
        return PASSWORD

    tls_context._ask.cache_clear()
    monkeypatch.setattr("getpass.getpass", ask)
    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(tls_context._type_password, "key.pem") for _ in range(2)]
        assert begun.wait(10)
        wait(asking, timeout=0.1)
        typed.set()
        assert [each.result(10) for each in asking] == [PASSWORD] * 2
    assert prompts == ["Password of key.pem: "]
    tls_context._ask.cache_clear()


def ciphers(asked: Config) -> set[str]:
    context = make_context(asked)
    assert context is not None
    return {each["name"] for each in context.get_ciphers()}


def test_default_of_uvicorn_means_the_default(certificates: Certificates) -> None:
    asked = config(**certificates.parameters, ssl_ciphers="TLSv1")
    assert ciphers(asked) == ciphers(config(**certificates.parameters))


def test_default_ciphers_have_forward_secrecy(certificates: Certificates) -> None:
    assert all(name.startswith(("TLS_", "ECDHE-", "DHE-")) for name in ciphers(config(**certificates.parameters)))


@pytest.mark.parametrize("asked", ["ALL", "ALL:eNULL", "TLSv1.2"])
def test_ciphers_without_encryption_or_certificate_are_never_offered(certificates: Certificates, asked: str) -> None:
    offered = ciphers(config(**certificates.parameters, ssl_ciphers=f"{asked}:@SECLEVEL=0"))
    assert "ECDHE-RSA-AES128-GCM-SHA256" in offered
    assert not any("NULL" in name or name.startswith(("ADH", "AECDH")) for name in offered)


@pytest.mark.parametrize("version", [ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_versions_before_tls_1_2_are_refused(certificates: Certificates, version: int) -> None:
    context = make_context(config(**certificates.parameters, ssl_version=version))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        ({"ssl_ca_certs": True}, ["--ssl-ca-certs has no effect without --ssl-cert-reqs: no client is asked"]),
        (
            {"ssl_cert_reqs": ssl.CERT_OPTIONAL},
            ["--ssl-cert-reqs without --ssl-ca-certs trusts no authority: a client that shows a certificate"],
        ),
        (
            {"ssl_cert_reqs": ssl.CERT_REQUIRED},
            ["--ssl-cert-reqs without --ssl-ca-certs trusts no authority: every client is refused"],
        ),
        ({"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": True}, []),
        ({}, []),
    ],
    ids=["authorities", "optional", "required", "both", "neither"],
)
def test_incomplete_client_verification_is_warned_about(
    certificates: Certificates, caplog: pytest.LogCaptureFixture, asked: dict[str, Any], lines: list[str]
) -> None:
    if "ssl_ca_certs" in asked:
        asked = asked | {"ssl_ca_certs": str(certificates.authority)}
    config(**certificates.parameters, **asked).load()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(lines)
    assert all(record.getMessage().startswith(line) for record, line in zip(caplog.records, lines, strict=True))


def test_factory_that_adds_authorities_causes_no_warning(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    def factory(asked: Config, default: Any) -> ssl.SSLContext:
        context: ssl.SSLContext = default()
        context.load_verify_locations(certificates.authority)
        return context

    config(**certificates.parameters, ssl_cert_reqs=ssl.CERT_REQUIRED, ssl_context_factory=factory).load()
    assert not caplog.records


def test_factory_gets_configuration_and_default(certificates: Certificates) -> None:
    seen = []

    def factory(asked: Config, default: Any) -> ssl.SSLContext:
        seen.append(asked)
        context: ssl.SSLContext = default()
        return context

    asked = config(**certificates.parameters, ssl_context_factory=factory)
    asked.load()
    assert asked.ssl is not None
    assert seen == [asked]


def test_factory_needs_no_certificate_file() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked = config(ssl_context_factory=lambda asked, default: context)
    assert asked.is_ssl
    assert make_context(asked) is context
    asked = config(ssl_context_factory=lambda asked, default: default())
    with pytest.raises(StartupError, match="--ssl-certfile is missing"):
        make_context(asked)


def test_factory_must_return_context() -> None:
    assert refusal(ssl_context_factory=lambda asked, default: 1) == (
        "ssl_context_factory has to return an ssl.SSLContext, not 1."
    )


def test_failed_handshakes_leave_no_reference_cycle(certificates: Certificates) -> None:
    pytest.importorskip("aiofastnet")

    def left() -> int:
        return sum(type(each).__name__.startswith("SSLTransport") for each in gc.get_objects())

    async def main() -> int:
        asked = config(**certificates.parameters)
        asked.load()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            loop = asyncio.get_running_loop()
            readers = make_readers(loop)
            server = await tls_server.listen(loop, asyncio.Protocol, sock, asked, Unreported(), readers)
            for sent in (b"", b"\x05 is no TLS\r\n\r\n"):
                reader, writer = await asyncio.open_connection(*sock.getsockname())
                writer.write(sent)
                writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.close()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)
        return left()

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main()) == 0
    finally:
        gc.enable()


def test_engine_depends_on_installed_modules(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = config(**certificates.parameters)
    asked.load()
    assert tls_server.engine(asked) in ("aiofastnet", "ssl")
    monkeypatch.setitem(sys.modules, "aiofastnet", None)
    assert tls_server.engine(asked) == "ssl"


def test_engine_is_that_of_loop_if_python_includes_openssl(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    aiofastnet = pytest.importorskip("aiofastnet")
    asked = config(**certificates.parameters)
    asked.load()
    monkeypatch.setattr(aiofastnet, "OPENSSL_DYN_LIBS", None)
    assert tls_server.engine(asked) == "ssl"


def test_engine_is_that_of_loop_without_readers(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = config(**certificates.parameters)
    asked.load()
    monkeypatch.setattr(tls_server, "_HAS_READERS", False)
    assert tls_server.engine(asked) == "ssl"


CALLBACKS: dict[str, Callable[[Any, Path], object]] = {
    "sni_callback": lambda context, path: setattr(context, "sni_callback", lambda *named: None),
    "set_servername_callback": lambda context, path: context.set_servername_callback(lambda *named: None),
    "keylog_filename": lambda context, path: setattr(context, "keylog_filename", str(path)),
    "_msg_callback": lambda context, path: setattr(context, "_msg_callback", lambda *message: None),
}
if sys.version_info >= (3, 13):
    CALLBACKS["psk"] = lambda context, path: context.set_psk_server_callback(lambda identity: b"key")


@pytest.fixture(params=CALLBACKS)
def set_callback(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], object]:
    """A function that sets a Python callback on a context."""
    return lambda context: CALLBACKS[request.param](context, tmp_path / "keys")


def test_context_with_callback_is_served_by_ssl(certificates: Certificates, set_callback: Any) -> None:
    asked = config(**certificates.parameters)
    asked.load()
    set_callback(asked.ssl)
    assert tls_server.engine(asked) == "ssl"


@pytest.mark.parametrize("kind", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_context_with_client_certificates_is_served_by_ssl(certificates: Certificates, kind: int) -> None:
    asked = config(**certificates.parameters, ssl_cert_reqs=kind, ssl_ca_certs=str(certificates.authority))
    asked.load()
    assert tls_server.engine(asked) == "ssl"


def test_context_of_user_is_served_by_ssl(certificates: Certificates) -> None:
    asked = config(**certificates.parameters)
    asked.load()
    asked.ssl = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert tls_server.engine(asked) == "ssl"
    asked = config(**certificates.parameters, ssl_context_factory=lambda asked, default: default())
    asked.load()
    assert tls_server.engine(asked) == "ssl"


def test_context_served_by_aiofastnet_refuses_callback(certificates: Certificates, set_callback: Any) -> None:
    asked = config(**certificates.parameters)
    asked.load()
    if tls_server.engine(asked) != "aiofastnet":
        pytest.skip("aiofastnet is not installed, or does not work with this Python")

    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            loop = asyncio.get_running_loop()
            readers = make_readers(loop)
            server = await tls_server.listen(loop, asyncio.Protocol, sock, asked, Unreported(), readers)
            with pytest.raises(RuntimeError, match="set it in ssl_context_factory"):
                set_callback(asked.ssl)
            server.close()

    asyncio.run(main())
    assert asked.ssl is not None
    assert asked.ssl.sni_callback is None
    asked.ssl.sni_callback = None
    asked.ssl.load_cert_chain(certificates.certificate, certificates.key)
