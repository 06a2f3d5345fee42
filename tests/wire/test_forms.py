"""The compiled form exists, is compiled entirely, and its declarations match the source."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import pronghorn._wire
from tests.support.rig import Rig

ROOT = Path(__file__).parent.parent.parent
SOURCES = Path(pronghorn._wire.__file__).parent
DECLARATIONS = ROOT / "ext" / "pronghorn" / "_wire_c"
# The same dotted names in the source, the declarations and the compiled form.
MODULES = sorted(".".join(path.relative_to(SOURCES).with_suffix("").parts) for path in SOURCES.rglob("[!_]*.py"))
DECLARED = sorted(
    ".".join(path.relative_to(DECLARATIONS).with_suffix("").parts) for path in DECLARATIONS.rglob("[!_]*.pxd")
)


def source_of(module: str) -> str:
    return (SOURCES / f"{module.replace('.', '/')}.py").read_text()


def declarations_of(module: str) -> str:
    return (DECLARATIONS / f"{module.replace('.', '/')}.pxd").read_text()


def is_kernel(module: str) -> bool:
    """Return whether the compiled form of the module is hand-written."""
    return (DECLARATIONS / f"{module.replace('.', '/')}.pyx").exists()


CLASSES = [
    (module, name)
    for module in MODULES
    if not is_kernel(module)
    for name in re.findall(r"^class (\w+)", source_of(module), re.MULTILINE)
]
KERNELS = re.findall(r"^def ([a-z]\w*)", (SOURCES / "kernels.py").read_text(), re.MULTILINE)

# The fixture for one form only. If that is missing, it skips or, where it is required, fails.
compiled_only = pytest.mark.parametrize("wire", ["compiled"], indirect=True)


# A type in a `.pxd`, and the annotations that stand for the same type.
TYPE = r"(?:(?:un)?signed |long )?\w+"
PYTHON_TYPES = {"bint": "bool", "double": "float", "void": "None"} | dict.fromkeys(
    ("Py_ssize_t", "int", "unsigned int", "signed char", "long", "long long"), "int"
)
ALIASES = {"Client": "tuple", "Server": "tuple", "Headers": "list"}


def declared_types(module: str) -> dict[str, str]:
    """The types the `.pxd` declares for attributes (`Class.name`), parameters (`function.name`) and results."""
    text = re.sub(r" *#.*", "", declarations_of(module))
    text = re.sub(r"\(\n\s+(.*)\n\)", r"(\1)", text)
    # Kernels declare functions in C for each other, which the source does not have.
    define = "cpdef" if is_kernel(module) else "cp?def"
    types: dict[str, str] = {}
    scope = ""
    for line in text.splitlines():
        if line[:1] not in ("", " "):
            scope = ""
        if found := re.match(r"cdef class (\w+)", line):
            scope = f"{found[1]}."
        elif found := re.match(rf" *{define} (?:({TYPE}) )?(\w+)\((.*)\)", line):
            types[f"{scope}{found[2]}()"] = found[1] or "object"
            for parameter in filter(None, found[3].split(", ")):
                kind, _, name = parameter.rpartition(" ")
                types[f"{scope}{found[2]}.{name}"] = kind or "object"
        elif scope and (found := re.match(rf"    cdef (?:(?:readonly|public) )?({TYPE}) (\w+(?:, \w+)*)$", line)):
            names = [] if is_kernel(module) else found[2].split(", ")
            types.update(dict.fromkeys([scope + name for name in names], found[1]))
    return {name: PYTHON_TYPES.get(kind, kind) for name, kind in types.items() if not name.endswith(".self")}


def declared_attributes(module: str, name: str) -> set[str]:
    """The attributes the `.pxd` declares for a class."""
    return {found[1] for each in declared_types(module) if (found := re.fullmatch(rf"{name}\.(\w+)", each))}


def annotated_types(module: str) -> dict[str, str]:
    """The same types annotated in the source, without type arguments and `None`."""
    types: dict[str, str] = {}

    def add(name: str, annotation: ast.expr | None) -> None:
        assert annotation, f"{name} has no annotation"
        kind = re.sub(r"\[.*\]| \| (None|MaybeNone)", "", ast.unparse(annotation))
        types[name] = ALIASES.get(kind, kind)

    def walk(body: list[ast.stmt], scope: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{node.name}.")
            elif isinstance(node, ast.AnnAssign):
                add(scope + ast.unparse(node.target), node.annotation)
            elif isinstance(node, ast.FunctionDef):
                add(f"{scope}{node.name}()", node.returns)
                for parameter in node.args.args[bool(scope) :]:
                    add(f"{scope}{node.name}.{parameter.arg}", parameter.annotation)

    walk(ast.parse(source_of(module)).body, "")
    return types


def declared_parameters(text: str, name: str) -> list[str]:
    """The names of a kernel's parameters in Cython source."""
    found = re.search(rf"^cpdef .*?\b{name}\((.*)\)", text, re.MULTILINE)
    assert found, f"{name} is not declared"
    return [parameter.split()[-1] for parameter in found[1].split(",") if parameter]


@compiled_only
@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_compiled(wire: Any, module: str) -> None:
    twin = importlib.import_module(f"pronghorn._wire_c.{module}")
    assert twin.__file__ is not None
    assert twin.__file__.endswith(tuple(EXTENSION_SUFFIXES))


@compiled_only
@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_every_class_is_an_extension_type(wire: Any, module: str, name: str) -> None:
    kind = getattr(importlib.import_module(f"pronghorn._wire_c.{module}"), name)
    assert not any(isinstance(member, FunctionType) for member in vars(kind).values())
    assert "__dict__" not in dir(kind)
    with pytest.raises(TypeError):
        kind.added = None


@compiled_only
@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_interpreted(wire: Any, module: str) -> None:
    twin = importlib.import_module(f"pronghorn._wire_c.{module}")
    functions = [
        member
        for member in vars(twin).values()
        if callable(member) and getattr(member, "__module__", "") == twin.__name__
    ]
    assert not any(isinstance(member, FunctionType) for member in functions)


@compiled_only
def test_compiled_modules_import_compiled_siblings(wire: Any) -> None:
    rig = Rig(wire)
    rig.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    request = rig.request
    assert type(request) is wire.request.Request
    assert type(request.head) is wire.head.Head
    assert type(request.encoder) is wire.response.HTTP1Encoder


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_slots_are_the_declared_attributes(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(f"pronghorn._wire.{module}"), name)
    assert set(kind.__slots__) == declared_attributes(module, name)


@pytest.mark.parametrize("module", DECLARED)
def test_annotations_are_the_declared_types(module: str) -> None:
    annotated = annotated_types(module)
    for name, kind in declared_types(module).items():
        assert annotated[name] == kind or kind == "object", name


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_slots_are_annotated(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(f"pronghorn._wire.{module}"), name)
    assert set(kind.__slots__) == set(inspect.get_annotations(kind))


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_slots_are_sorted_and_used(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(f"pronghorn._wire.{module}"), name)
    assert list(kind.__slots__) == sorted(kind.__slots__)
    text = source_of(module)
    assert [slot for slot in kind.__slots__ if f".{slot}" not in text] == []


def test_every_declaration_has_a_source() -> None:
    assert set(DECLARED) <= set(MODULES)


def test_every_compiled_kernel_is_listed() -> None:
    text = (DECLARATIONS / "kernels.pyx").read_text()
    assert sorted(re.findall(r"^cpdef .*?\b(\w+)\(", text, re.MULTILINE)) == sorted(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_have_the_same_parameters(name: str) -> None:
    function = getattr(importlib.import_module("pronghorn._wire.kernels"), name)
    parameters = list(inspect.signature(function).parameters)
    for suffix in ("pxd", "pyx"):
        assert declared_parameters((DECLARATIONS / f"kernels.{suffix}").read_text(), name) == parameters


@pytest.mark.parametrize("module", MODULES)
def test_source_has_no_slow_or_uncompilable_syntax(module: str) -> None:
    """No Cython, asynchronous code, generators or logging: these would not compile unchanged, or be slow."""
    tree = ast.parse(source_of(module))
    nodes = list(ast.walk(tree))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not imported & {"cython", "logging"}
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Yield | ast.YieldFrom) for node in nodes)
