"""The global interpreter lock, and the modules that enable it."""

import shlex
import subprocess
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader

import pytest

import pronghorn
from pronghorn.process import gil

# An extension module that declares nothing about the GIL.
SOURCE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "needy"};
PyMODINIT_FUNC PyInit_needy(void) { return PyModuleDef_Init(&module); }
"""

PROGRAM = """
import logging
from pronghorn.process import gil
logging.basicConfig(format="%(message)s")
with gil.watched():
    import json.decoder, zlib
    import needy
    import needy
print(gil.is_enabled(), gil.is_reported)
"""

free_threaded = pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="it has no GIL to enable")


@free_threaded
def test_module_that_enables_the_gil_is_named_once(tmp_path):
    (tmp_path / "needy.c").write_text(SOURCE)
    compiler = shlex.split(sysconfig.get_config_var("CC"))
    target = tmp_path / f"needy{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run([*compiler, "-shared", "-fPIC", include, "needy.c", "-o", str(target)], cwd=tmp_path, check=True)
    paths = f"{tmp_path}:{pronghorn.__path__[0]}/.."
    command = [sys.executable, "-X", "gil=0", "-c", PROGRAM]
    forced = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": paths}, check=True, timeout=60)
    assert (forced.stdout, forced.stderr) == ("False False\n", "")
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    ran = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": paths}, check=True, timeout=60)
    assert ran.stdout == "True True\n"
    assert ran.stderr == (
        "The module needy needs the GIL, which is enabled from now on: threads do not run in parallel.\n"
    )


@pytest.mark.skipif(not gil.is_enabled(), reason="imports are observed without the GIL")
def test_imports_are_not_observed_with_the_gil():
    before = ExtensionFileLoader.create_module
    with gil.watched():
        assert ExtensionFileLoader.create_module is before


@free_threaded
def test_imports_are_not_observed_after_the_block():
    before = ExtensionFileLoader.create_module
    with gil.watched():
        pass
    assert ExtensionFileLoader.create_module is before
