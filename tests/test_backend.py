"""The choice of the hot path's form, and of the compression module."""

import importlib
import os
import subprocess
import sys
import zlib
from importlib.util import find_spec

import pytest

from pronghorn import backend
from pronghorn.errors import StartupError
from tests.support.forms import FORMS, load_form

PARTS = ("Limits", "Shared", "Connection", "Outbox", "AccessLines", "Proxies", "FormattedLines", "Turns", "sweep")

needs_httptools = pytest.mark.skipif(find_spec("httptools") is None, reason="httptools is not installed")


@pytest.fixture
def compiled():
    """Require the compiled form."""
    if find_spec("pronghorn._wire_c.http1.connection") is None:
        if os.environ.get("PRONGHORN_BUILD") == "required":
            pytest.fail("the compiled form is required and was not built")
        pytest.skip("the compiled form was not built")


@pytest.fixture
def allowed(monkeypatch):
    """Allow the compiled form."""
    monkeypatch.delenv("PRONGHORN_PURE", raising=False)


@pytest.fixture
def pure(monkeypatch):
    monkeypatch.setenv("PRONGHORN_PURE", "1")


def without(monkeypatch, *modules):
    """Pretend that `modules` are not installed."""
    find = backend.find_spec
    monkeypatch.setattr(backend, "find_spec", lambda name: None if name in modules else find(name))


def test_compiled_form_is_the_default(compiled, allowed):
    wire = backend.load()
    assert wire.name == "compiled"
    assert wire.Connection.__module__ == "pronghorn._wire_c.http1.connection"


@pytest.mark.parametrize("value", ["", "0"])
def test_empty_or_zero_pronghorn_pure_is_ignored(compiled, monkeypatch, value):
    monkeypatch.setenv("PRONGHORN_PURE", value)
    assert backend.load().name == "compiled"


@needs_httptools
def test_interpreted_form_parses_heads_with_httptools(pure):
    wire = backend.load()
    assert wire.name == "interpreted, heads by httptools"
    assert wire.Connection.__module__ == "pronghorn._wire_httptools"


def test_interpreted_form_works_without_httptools(pure, monkeypatch):
    without(monkeypatch, "httptools")
    wire = backend.load()
    assert wire.name == "interpreted"
    assert wire.Connection.__module__ == "pronghorn._wire.http1.connection"


def test_interpreted_form_is_used_when_nothing_was_built(allowed, monkeypatch):
    without(monkeypatch, "pronghorn._wire_c.http1.connection", "httptools")
    assert backend.load().name == "interpreted"
    assert not backend.compiled_is_available()


def test_h11_selects_interpreted_parser(allowed):
    wire = backend.load("h11")
    assert wire.name == "interpreted"
    assert wire.Connection.__module__ == "pronghorn._wire.http1.connection"


@needs_httptools
def test_httptools_selects_llhttp_even_when_compiled_form_is_built(allowed):
    assert backend.load("httptools").Connection.__module__ == "pronghorn._wire_httptools"


def test_missing_httptools_is_refused(allowed, monkeypatch):
    monkeypatch.setitem(sys.modules, "httptools", None)
    monkeypatch.delitem(sys.modules, "pronghorn._wire_httptools", raising=False)
    with pytest.raises(StartupError, match=r"^--http httptools needs httptools: pip install"):
        backend.load("httptools")


@pytest.mark.parametrize("http", ["auto", "h11", pytest.param("httptools", marks=needs_httptools)])
def test_all_parts_of_form_come_from_one_package(http):
    wire = backend.load(http)
    package = wire.Shared.__module__.rpartition(".")[0]
    homes = {name: getattr(wire, name).__module__.rpartition(".")[0] for name in PARTS}
    own = homes.pop("Connection")
    assert set(homes.values()) == {package}
    assert own == f"{package}.http1" or own == "pronghorn"
    assert issubclass(wire.Connection, importlib.import_module(f"{package}.http1.connection").Connection)


def printed_by_process(expression, pure=""):
    """The output of a new process that prints `expression`."""
    environment = {**os.environ, "PRONGHORN_PURE": pure, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [
        sys.executable,
        "-c",
        f"import sys, pronghorn.server; from pronghorn import backend; print({expression})",
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True).stdout


def test_pronghorn_pure_selects_interpreted_form_at_process_start():
    assert printed_by_process("backend.load('auto').name", pure="1").startswith("interpreted")


def test_interpreted_form_loads_no_compiled_module():
    loaded = "backend.load('auto') and [name for name in sys.modules if '_wire_c.' in name]"
    assert printed_by_process(loaded, pure="1") == "[]\n"


def test_compiled_form_loads_no_interpreted_module(compiled):
    loaded = "backend.load('auto') and [name for name in sys.modules if '_wire.' in name]"
    assert printed_by_process(loaded) == "[]\n"


def test_http2_is_loaded_only_where_it_is_spoken():
    loaded = "backend.load('auto') and [name for name in sys.modules if name.endswith('http2.connection')]"
    assert printed_by_process(loaded) == "[]\n"


@pytest.mark.parametrize("form", FORMS)
def test_http2_is_of_the_same_form(form):
    wire = backend.form(load_form(form) and FORMS[form], form)
    assert wire.load_http2().__module__ == f"{FORMS[form]}.http2.connection"


def test_isal_is_used_if_installed():
    isal_zlib = pytest.importorskip("isal.isal_zlib")
    assert backend.load_compression().compressobj is isal_zlib.compressobj


def test_zlib_is_used_without_isal(monkeypatch):
    without(monkeypatch, "isal")
    assert backend.load_compression().compressobj is zlib.compressobj


@pytest.mark.parametrize("bits", range(9, 16))
def test_deflated_data_inflates_within_window(bits):
    compression = backend.load_compression()
    deflater = compression.compressobj(wbits=-bits, memLevel=5)
    inflater = compression.decompressobj(wbits=-bits)
    for size in (1, 100, 3000, 70000):
        content = b"".join(b"%d," % number for number in range(size))
        deflated = deflater.compress(content) + deflater.flush(compression.Z_SYNC_FLUSH)
        assert deflated.endswith(b"\x00\x00\xff\xff")
        assert inflater.decompress(deflated) == content
