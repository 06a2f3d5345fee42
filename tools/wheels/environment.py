"""A new environment without a compiler and without access to the sources."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

from tools.wheels.building import ROOT, Failed, run

COMPILERS = ("cc", "gcc", "clang", "c99", "cl")


class Environment:
    """A virtual environment of `python` in `folder`, with a folder for tests. Only its own programs are on the PATH."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._folder = folder
        self._programs = folder / "environment" / "bin"
        self._settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
        run(python, "-m", "venv", folder / "environment")
        (folder / "elsewhere").mkdir()
        found = f"import shutil; print(*filter(shutil.which, {COMPILERS}))"
        if compilers := self.python("-c", found).strip():
            raise Failed(f"There is a compiler on the PATH: {compilers}")

    def python(self, *arguments: str | Path, **variables: str) -> str:
        """Run its Python; return the output. Raises Failed."""
        path = {"PATH": str(self._programs)}
        return run(self._programs / "python", *arguments, at=str(self._folder / "elsewhere"), **path, **variables)

    def install(self, *arguments: str | Path, **variables: str) -> str:
        """Run `pip install`; return the output. Raises Failed."""
        return self.python("-m", "pip", "install", *arguments, **variables)

    def try_form(self, form: str) -> str:
        """Run the tests that cibuildwheel runs; return their summary. Raises Failed."""
        for name in self._settings["test-sources"]:
            source, target = ROOT / name, self._folder / "elsewhere" / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        self.install("-q", "--only-binary", ":all:", *self._settings["test-requires"])
        said = self.python("-m", "tools.wheels.trial", form)
        return ", ".join(re.findall(rf"^{form}: served|\d+ passed", said, re.MULTILINE))
