"""No two modules of the package import each other, directly or through others.

Every import statement counts: also those in functions and those for type checkers alone. That importing a module also
runs the `__init__` of its package does not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCES = Path(__file__).resolve().parent.parent / "src"


class Import(NamedTuple):
    """`module` imports `imported` in line `line`; `for_types` if only type checkers do."""

    module: str
    imported: str
    line: int
    for_types: bool

    def __str__(self) -> str:
        return f"{self.module} (line {self.line}) imports {self.imported}"


class Allowed(NamedTuple):
    """Imports that are allowed in a circle: patterns for both modules, and the reason."""

    module: str
    imported: str
    reason: str

    def covers(self, each: Import) -> bool:
        return each.for_types and fnmatchcase(each.module, self.module) and fnmatchcase(each.imported, self.imported)


EXCEPTIONS = [
    Allowed("pronghorn", "*", "its public names, which are imported at first use; the command line prints its version"),
    Allowed("pronghorn._wire.*", "pronghorn._wire.*", "a connection and its exchanges call each other"),
]


def find_modules() -> dict[str, Path]:
    """The package's modules by name."""
    names = {path: ".".join(path.relative_to(SOURCES).with_suffix("").parts) for path in SOURCES.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = find_modules()


def imports_of(name: str, path: Path) -> Iterator[Import]:
    """The imports of other modules of the package in one module."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = [
        each for each in ast.walk(tree) if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"
    ]
    for_types = {id(node) for each in guarded for statement in each.body for node in ast.walk(statement)}
    for node in ast.walk(tree):
        for imported in imported_by(node, package):
            if imported in MODULES and imported != name:
                yield Import(name, imported, getattr(node, "lineno", 0), id(node) in for_types)


def imported_by(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that a statement imports; where it imports names of a package, those that are modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        source = ".".join([*parents, *([node.module] if node.module else [])])
        for alias in node.names:
            name = f"{source}.{alias.name}"
            yield name if name in MODULES else source


IMPORTS = [each for name, path in MODULES.items() for each in imports_of(name, path)]


def find_circle(imports: list[Import]) -> list[Import]:
    """The imports of one circle, if there is any."""
    graph: dict[str, list[Import]] = {}
    for each in imports:
        graph.setdefault(each.module, []).append(each)
    done: set[str] = set()

    def search(module: str, way: list[Import]) -> list[Import]:
        if module in done:
            return []
        for each in graph.get(module, []):
            modules = [step.module for step in way] + [module]
            if each.imported in modules:
                return [*way, each][modules.index(each.imported) :]
            if found := search(each.imported, [*way, each]):
                return found
        done.add(module)
        return []

    return next((found for module in graph if (found := search(module, []))), [])


def test_modules_import_each_other_in_one_direction() -> None:
    circle = find_circle([each for each in IMPORTS if not any(exception.covers(each) for exception in EXCEPTIONS)])
    assert not circle, "\n".join(map(str, circle))


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda each: f"{each.module} to {each.imported}")
def test_exception_is_needed(exception: Allowed) -> None:
    others = [each for each in EXCEPTIONS if each is not exception]
    assert find_circle([each for each in IMPORTS if not any(other.covers(each) for other in others)])


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("import pronghorn.errors", ["pronghorn.errors"]),
        ("from pronghorn import errors, Config", ["pronghorn.errors", "pronghorn"]),
        ("from pronghorn.errors import StartupError", ["pronghorn.errors"]),
        ("from . import places", ["pronghorn.listen.places"]),
        ("from .places import Place", ["pronghorn.listen.places"]),
        ("from ..errors import StartupError", ["pronghorn.errors"]),
    ],
)
def test_imported_modules_are_found(text: str, imported: list[str]) -> None:
    assert list(imported_by(ast.parse(text).body[0], "pronghorn.listen")) == imported


def test_circle_is_found() -> None:
    ring = [Import(one, other, 1, False) for one, other in (("z", "a"), ("a", "b"), ("b", "c"), ("c", "a"))]
    assert find_circle(ring) == ring[1:]
    assert not find_circle(ring[:-1])
