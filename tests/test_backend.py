"""The switch between the forms of the wire."""

import importlib
import os
import subprocess
import sys
import zlib
from importlib.util import find_spec

import pytest

from pronghorn import backend
from pronghorn.errors import StartupError

PARTS = ("Limits", "Shared", "Connection", "Outbox", "AccessLines", "Proxies", "FormattedLines", "sweep")

needs_httptools = pytest.mark.skipif(find_spec("httptools") is None, reason="httptools is not installed")


@pytest.fixture
def compiled():
    """The compiled form is built."""
    if find_spec("pronghorn._wire_c.connection") is None:
        if os.environ.get("PRONGHORN_BUILD") == "required":
            pytest.fail("the compiled form is required and was not built")
        pytest.skip("the compiled form was not built")


@pytest.fixture
def allowed(monkeypatch):
    """The compiled form may be used."""
    monkeypatch.delenv("PRONGHORN_PURE", raising=False)


@pytest.fixture
def pure(monkeypatch):
    monkeypatch.setenv("PRONGHORN_PURE", "1")


def without(monkeypatch, *modules):
    """As if `modules` were not installed."""
    find = backend.find_spec
    monkeypatch.setattr(backend, "find_spec", lambda name: None if name in modules else find(name))


def test_compiled_form_is_the_choice(compiled, allowed):
    wire = backend.load()
    assert wire.name == "compiled"
    assert wire.Connection.__module__ == "pronghorn._wire_c.connection"


@pytest.mark.parametrize("value", ["", "0"])
def test_variable_that_is_off_changes_nothing(compiled, monkeypatch, value):
    monkeypatch.setenv("PRONGHORN_PURE", value)
    assert backend.load().name == "compiled"


@needs_httptools
def test_interpreted_form_has_its_heads_from_httptools(pure):
    wire = backend.load()
    assert wire.name == "interpreted, heads by httptools"
    assert wire.Connection.__module__ == "pronghorn.llhttp"


def test_interpreted_form_needs_no_httptools(pure, monkeypatch):
    without(monkeypatch, "httptools")
    wire = backend.load()
    assert wire.name == "interpreted"
    assert wire.Connection.__module__ == "pronghorn._wire.connection"


def test_interpreted_form_where_nothing_was_built(allowed, monkeypatch):
    without(monkeypatch, "pronghorn._wire_c.connection", "httptools")
    assert backend.load().name == "interpreted"
    assert not backend.compiled_is_available()


def test_h11_is_our_parser_interpreted(allowed):
    wire = backend.load("h11")
    assert wire.name == "interpreted"
    assert wire.Connection.__module__ == "pronghorn._wire.connection"


@needs_httptools
def test_httptools_is_llhttp_even_where_the_compiled_form_is(allowed):
    assert backend.load("httptools").Connection.__module__ == "pronghorn.llhttp"


def test_httptools_that_is_not_installed_is_an_error(allowed, monkeypatch):
    monkeypatch.setitem(sys.modules, "httptools", None)
    monkeypatch.delitem(sys.modules, "pronghorn.llhttp", raising=False)
    with pytest.raises(StartupError, match=r"^--http httptools needs httptools: pip install"):
        backend.load("httptools")


@pytest.mark.parametrize("http", ["auto", "h11", pytest.param("httptools", marks=needs_httptools)])
def test_parts_of_a_form_belong_together(http):
    wire = backend.load(http)
    package = wire.Shared.__module__.rpartition(".")[0]
    homes = {name: getattr(wire, name).__module__.rpartition(".")[0] for name in PARTS}
    own = homes.pop("Connection")
    assert set(homes.values()) == {package}
    assert own == package or issubclass(wire.Connection, importlib.import_module(f"{package}.connection").Connection)


def of_a_process(expression, pure=""):
    """What a new process prints for `expression`."""
    environment = {**os.environ, "PRONGHORN_PURE": pure, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", f"import sys; from pronghorn import backend, protocol; print({expression})"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True).stdout


def test_variable_is_heard_at_the_start_of_a_process():
    assert of_a_process("backend.load('auto').name", pure="1").startswith("interpreted")


def test_interpreted_form_loads_nothing_compiled():
    loaded = "backend.load('auto') and [name for name in sys.modules if '_wire_c.' in name]"
    assert of_a_process(loaded, pure="1") == "[]\n"


def test_compiled_form_loads_nothing_interpreted(compiled):
    assert of_a_process("backend.load('auto') and [name for name in sys.modules if '_wire.' in name]") == "[]\n"


def test_isal_deflates_where_it_is_installed():
    isal_zlib = pytest.importorskip("isal.isal_zlib")
    assert backend.load_compression().compressobj is isal_zlib.compressobj


def test_zlib_deflates_without_isal(monkeypatch):
    without(monkeypatch, "isal")
    assert backend.load_compression().compressobj is zlib.compressobj


@pytest.mark.parametrize("bits", range(9, 16))
def test_what_is_deflated_can_be_inflated_within_the_window(bits):
    compression = backend.load_compression()
    deflater = compression.compressobj(wbits=-bits, memLevel=5)
    inflater = compression.decompressobj(wbits=-bits)
    for size in (1, 100, 3000, 70000):
        content = b"".join(b"%d," % number for number in range(size))
        deflated = deflater.compress(content) + deflater.flush(compression.Z_SYNC_FLUSH)
        assert deflated.endswith(b"\x00\x00\xff\xff")
        assert inflater.decompress(deflated) == content
