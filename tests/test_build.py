"""The content of an installation built with and without a compiler, and a request to its server.

Each wheel is built from a copy of the source and runs unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from tools.wheels import contents
from tools.wheels.building import linker

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 300
MOMENT = "1790000000"
SOURCES = ROOT / "src/pronghorn/_wire"
WIRE = sorted(path.relative_to(SOURCES).with_suffix("").as_posix() for path in SOURCES.rglob("[!_]*.py"))

MISSING = [name for name in ("pip", "setuptools", "Cython") if find_spec(name) is None]
pytestmark = [
    pytest.mark.build,
    pytest.mark.skipif(bool(MISSING), reason=f"cannot build without {', '.join(MISSING)}"),
]

SERVE = """
import http.client, socket, threading
import hello, pronghorn, pronghorn.backend
listening = socket.create_server(("127.0.0.1", 0))
client = http.client.HTTPConnection(*listening.getsockname(), timeout=30)
server = pronghorn.Server(pronghorn.Config(hello.app, log_level="error"))
thread = threading.Thread(target=server.run, args=([listening],))
thread.start()
try:
    client.request("GET", "/")
    print(client.getresponse().read().decode(), end="")
finally:
    client.close()
    server.should_exit = True
    thread.join(30)
print(pronghorn.backend.load().name)
print(pronghorn.__file__)
"""


@pytest.fixture(scope="module")
def uncompiled(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A build with no compiler on the PATH."""
    return build(copy(ROOT, tmp_path_factory.mktemp("uncompiled")), PATH=os.devnull)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, uncompiled: Built) -> Built:
    """A build that requires the compiler."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None and os.environ.get("PRONGHORN_BUILD") != "required":
        pytest.skip(f"there is no {compiler}")
    plain = {"LDSHARED": linker(sys.executable)} if sys.platform == "linux" else {}
    return build(copy(uncompiled.source, tmp_path_factory.mktemp("compiled")), PRONGHORN_BUILD="required", **plain)


@pytest.fixture(scope="module")
def skipped(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A build that does not try to compile, with a fixed timestamp."""
    return build(copy(ROOT, tmp_path_factory.mktemp("skipped")), PRONGHORN_BUILD="skip", SOURCE_DATE_EPOCH=MOMENT)


def test_every_module_of_the_hot_path_is_compiled(compiled: Built) -> None:
    assert extensions(compiled.site) == WIRE


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("readelf"), reason="needs ELF and binutils")
def test_compiled_wheel_has_no_faults(compiled: Built) -> None:
    assert list(contents.faults(compiled.wheel, [compiled.source, ROOT, Path(sys.base_prefix)])) == []


def test_pure_wheel_has_no_faults(skipped: Built) -> None:
    assert list(contents.faults(skipped.wheel, [skipped.source, ROOT, Path(sys.base_prefix)])) == []


def test_faults_of_wheel_are_reported(skipped: Built, tmp_path: Path) -> None:
    spoilt = tmp_path / skipped.wheel.name
    with zipfile.ZipFile(skipped.wheel) as whole, zipfile.ZipFile(spoilt, "w") as archive:
        for name in whole.namelist():
            if name != "pronghorn/py.typed":
                archive.writestr(name, whole.read(name))
        archive.writestr("pronghorn/scan.c", f"#line 1 {skipped.source}/scan.pyx".encode())
    assert set(contents.faults(spoilt, [skipped.source])) == {
        f"{spoilt.stat().st_size:,} bytes are over the budget of {contents.PURE_BUDGET:,}",
        "lacks pronghorn/py.typed",
        "should not have pronghorn/scan.c",
        f"pronghorn/scan.c names {skipped.source}",
    }


def test_compiled_form_serves(compiled: Built) -> None:
    assert serve(compiled.site) == ("Hello from pronghorn", "compiled")


def test_pronghorn_pure_serves_interpreted_form(compiled: Built) -> None:
    answer, form = serve(compiled.site, PRONGHORN_PURE="1")
    assert answer == "Hello from pronghorn"
    assert form.startswith("interpreted")


def test_build_without_compiler_prints_notice(uncompiled: Built) -> None:
    assert "the compiled form was NOT built" in uncompiled.output


def test_build_without_compiler_has_no_extensions(uncompiled: Built) -> None:
    assert extensions(uncompiled.site) == []


def test_build_without_compiler_serves_interpreted_form(uncompiled: Built) -> None:
    answer, form = serve(uncompiled.site)
    assert answer == "Hello from pronghorn"
    assert form.startswith("interpreted")


def test_server_warns_if_compiled_form_was_not_built(uncompiled: Built) -> None:
    assert "the compiled form was not built" in warnings_of(uncompiled.site)


def test_server_does_not_warn_if_interpreted_form_was_chosen(uncompiled: Built) -> None:
    assert "the compiled form was not built" not in warnings_of(uncompiled.site, PRONGHORN_PURE="1")


def test_required_build_fails_without_compiler(uncompiled: Built, tmp_path: Path) -> None:
    with pytest.raises(Failed):
        build(copy(uncompiled.source, tmp_path), PATH=os.devnull, PRONGHORN_BUILD="required")


def test_skipped_build_makes_pure_wheel(skipped: Built) -> None:
    assert skipped.wheel.name.endswith("-py3-none-any.whl")
    assert "NOT built" not in skipped.output
    assert extensions(skipped.site) == []


def test_build_is_reproducible_in_another_folder(skipped: Built, tmp_path: Path) -> None:
    again = build(copy(ROOT, tmp_path / "elsewhere"), PRONGHORN_BUILD="skip", SOURCE_DATE_EPOCH=MOMENT)
    assert again.wheel.read_bytes() == skipped.wheel.read_bytes()
    archives = []
    for source in (again.source, skipped.source):
        run("setup.py", "-q", "sdist", "--dist-dir", "archive", cwd=source, SOURCE_DATE_EPOCH=MOMENT)
        archives.append(next((source / "archive").iterdir()).read_bytes())
    assert archives[0] == archives[1]


def test_unknown_build_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="PRONGHORN_BUILD is 'yes'"):
        build(copy(ROOT, tmp_path), PRONGHORN_BUILD="yes")


def test_source_distribution_has_sources_and_no_build_output(tmp_path: Path) -> None:
    source = copy(ROOT, tmp_path)
    run("setup.py", "-q", "sdist", cwd=source)
    (archive,) = (source / "dist").iterdir()
    with tarfile.open(archive) as distribution:
        names = {name.partition("/")[2] for name in distribution.getnames()}
    wanted = {"setup.py", "LICENSE", "src/pronghorn/py.typed", "tests/test_build.py", "examples/hello.py"}
    assert wanted | {f"ext/pronghorn/_wire_c/{name}" for name in ("kernels.pyx", "kernels.pxd")} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc")) or (name[:4] == "src/" and name[-2:] == ".c")]


class Failed(Exception):
    """A command failed. The text is its output."""


class Built(NamedTuple):
    """A wheel, the output of its build, and the folder it was unpacked to."""

    source: Path
    output: str
    wheel: Path
    site: Path


def copy(original: Path, folder: Path) -> Path:
    """Copy the files that a build reads, and the generated C files if `original` is itself a copy."""
    source = folder / "source"
    kept = {"src", "ext", "tests", "tools", "bench", "examples", *(() if original == ROOT else ("build",))}
    built = shutil.ignore_patterns("*.so", "*.pyd", "*.egg-info", "__pycache__", "lib.*", "temp.*", "bdist.*")

    def unwanted(directory: str, names: list[str]) -> set[str]:
        if Path(directory) != original:
            return set(built(directory, names))
        return {name for name in names if (original / name).is_dir() and name not in kept}

    shutil.copytree(original, source, ignore=unwanted)
    return source


def build(source: Path, **environment: str) -> Built:
    """Build a wheel with the installed tools. Raises `Failed`."""
    options = ("-v", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", "dist")
    output = run("-m", "pip", "wheel", *options, ".", cwd=source, **environment)
    (wheel,) = (source / "dist").iterdir()
    site = source / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return Built(source, output, wheel, site)


def extensions(site: Path) -> list[str]:
    """The paths of the compiled modules below `_wire_c`, without suffixes."""
    found = [path for path in site.rglob("*") if path.suffix in (".so", ".pyd")]
    return sorted(path.relative_to(site / "pronghorn/_wire_c").as_posix().partition(".")[0] for path in found)


def serve(site: Path, **environment: str) -> tuple[str, str]:
    """Send one request to the example; return the answer and the form of the hot path."""
    answer, form, origin = run("-c", SERVE, cwd=site, PYTHONPATH=modules(site), **environment).splitlines()
    assert Path(origin).is_relative_to(site)
    return answer, form


def warnings_of(site: Path, **environment: str) -> str:
    """The warnings of the server while it answers one request to the example."""
    program = SERVE.replace('log_level="error"', 'log_level="warning"')
    return run("-c", program, cwd=site, PYTHONPATH=modules(site), **environment)


def modules(site: Path) -> str:
    return os.pathsep.join([str(site), str(ROOT / "examples")])


def run(*arguments: str, cwd: Path, **environment: str) -> str:
    """Run Python and return its output. Raises `Failed`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PRONGHORN_", "PIP_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        start_new_session=True,
    )
    if done.returncode:
        raise Failed(done.stdout)
    return done.stdout
