"""Import strings, factories, and the errors of each."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.application import loader
from pronghorn.errors import StartupError
from pronghorn.importer import ImportFromStringError, import_from_string

PROXY = "class Proxy:\n    @property\n    def __class__(self): raise RuntimeError\n"


@pytest.fixture
def app_dir(tmp_path: Path) -> Iterator[str]:
    """A directory for modules. The modules imported from it are removed afterwards."""
    path, modules = sys.path.copy(), set(sys.modules)
    yield str(tmp_path)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(app_dir: str, name: str, text: str) -> None:
    Path(app_dir, name).parent.mkdir(exist_ok=True)
    Path(app_dir, name).write_text(text)


def test_attribute_of_module_is_loaded(app_dir: str) -> None:
    write(app_dir, "site_a.py", "app = object()")
    assert loader.load("site_a:app", app_dir) is sys.modules["site_a"].app


def test_nested_attribute_is_loaded(app_dir: str) -> None:
    write(app_dir, "site_b.py", "class shop:\n    class api:\n        app = 'found'\n")
    assert loader.load("site_b:shop.api.app", app_dir) == "found"


def test_object_is_returned_unchanged() -> None:
    app = object()
    assert loader.load(app) is app


def test_app_dir_comes_first_and_is_absolute(app_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(app_dir, "site_c.py", "app = 1")
    monkeypatch.chdir(app_dir)
    loader.load("site_c:app", "")
    assert sys.path[0] == str(Path(app_dir).resolve())


@pytest.mark.parametrize(
    ("target", "example"),
    [
        ("shop", "shop:app"),
        ("shop:", "shop:app"),
        (":api", "main:api"),
        ("", "main:app"),
        ("shop.py", "shop:app"),
        ("./src/shop.py", "src.shop:app"),
    ],
)
def test_malformed_import_string_is_refused_with_example(target: str, example: str) -> None:
    with pytest.raises(StartupError) as caught:
        loader.load(target)
    assert str(caught.value) == (
        f'Error loading ASGI app. Import string "{target}" must be in format "<module>:<attribute>".'
        f' Example: "{example}".'
    )


@pytest.mark.parametrize(("name", "missing"), [("missing_module",) * 2, ("missing_package.module", "missing_package")])
def test_missing_module_is_refused(app_dir: str, name: str, missing: str) -> None:
    with pytest.raises(StartupError) as caught:
        loader.load(f"{name}:app", app_dir)
    assert str(caught.value) == (
        f'Error loading ASGI app. Could not import module "{name}".'
        f' "{missing}" is neither in {app_dir} nor installed. To look elsewhere, use --app-dir.'
    )
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("file", ["src/site_h.py", "src/site_h/__init__.py"])
def test_module_in_subfolder_is_suggested(app_dir: str, file: str) -> None:
    Path(app_dir, "src").mkdir()
    write(app_dir, file, "")
    with pytest.raises(StartupError, match=rf'module "site_h"\. Found {file}: try --app-dir {app_dir}/src\.$'):
        loader.load("site_h:app", app_dir)


def test_missing_directory_is_reported(app_dir: str) -> None:
    with pytest.raises(StartupError, match=rf"The directory {app_dir}/no does not exist\.$"):
        loader.load("missing_module:app", f"{app_dir}/no")


@pytest.mark.parametrize("target", ["shop.py:app", "./shop:app", "./shop.py:app"])
def test_file_name_instead_of_module_is_refused(target: str) -> None:
    with pytest.raises(StartupError, match=r'the name of a module, not of a file: "shop:app"\.$'):
        loader.load(target)


def test_missing_attribute_is_refused(app_dir: str) -> None:
    write(app_dir, "site_d.py", "app = 1")
    with pytest.raises(StartupError) as caught:
        loader.load("site_d:app.inner", app_dir)
    assert str(caught.value) == (
        'Error loading ASGI app. Attribute "app.inner" not found in module "site_d".'
        f" The imported module is {app_dir}/site_d.py."
    )
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("async def page(): ...\nasync def site(scope, receive, send): ...", "site"),
        ("class Site:\n    async def __call__(self, scope, receive, send): ...\nserved = Site()", "served"),
        ("appl = 5\nother = 5", "appl"),
        (f"{PROXY}proxy = Proxy()\nasync def site(scope, receive, send): ...", "site"),
    ],
)
def test_similar_attribute_is_suggested(app_dir: str, text: str, meant: str) -> None:
    write(app_dir, "site_i.py", text)
    with pytest.raises(StartupError, match=rf'not found in module "site_i"\. Did you mean "site_i:{meant}"\?$'):
        loader.load("site_i:app", app_dir)


@pytest.mark.parametrize("text", ["import missing_requirement", "from os import missing_name", "1 / 0"])
def test_error_inside_module_is_the_cause(app_dir: str, text: str) -> None:
    write(app_dir, "site_e.py", text)
    with pytest.raises(StartupError) as caught:
        loader.load("site_e:app", app_dir)
    cause = caught.value.__cause__
    assert cause is not None
    assert Path(traceback.extract_tb(cause.__traceback__)[0].filename).name == "site_e.py"


def test_missing_module_of_same_package_is_the_cause(app_dir: str) -> None:
    write(app_dir, "shop_f/__init__.py", "")
    write(app_dir, "shop_f/main.py", "import shop_f.models")
    with pytest.raises(StartupError) as caught:
        loader.load("shop_f.main:app", app_dir)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_syntax_error_is_the_cause(app_dir: str) -> None:
    write(app_dir, "site_g.py", "def\n")
    with pytest.raises(StartupError) as caught:
        loader.load("site_g:app", app_dir)
    assert isinstance(caught.value.__cause__, SyntaxError)


class Application:
    def __init__(self, debug: bool = False) -> None: ...
    async def __call__(self, scope: object, receive: object, send: object) -> None: ...


def no_arguments() -> None: ...
def only_defaults(debug: bool = False) -> None: ...
def any_arguments(*arguments: object) -> None: ...
def asgi2(scope: object) -> None: ...


@pytest.mark.parametrize("factory", [no_arguments, only_defaults, Application, lambda: None])
def test_callable_without_required_arguments_is_factory(factory: object) -> None:
    assert loader.is_factory(factory)


@pytest.mark.parametrize("app", [any_arguments, asgi2, Application(), "text", print])
def test_possible_application_is_no_factory(app: object) -> None:
    assert not loader.is_factory(app)


def test_factory_is_called() -> None:
    assert loader.call_factory(lambda: no_arguments) is no_arguments


def test_error_inside_factory_is_the_cause() -> None:
    def create() -> None:
        raise TypeError("no database")

    with pytest.raises(StartupError, match=r"^Error loading ASGI app factory: no database$") as caught:
        loader.call_factory(create)
    assert isinstance(caught.value.__cause__, TypeError)


def test_error_of_factory_is_reported_on_one_line() -> None:
    def create() -> None:
        raise ValueError("no database\n\nset one")

    with pytest.raises(StartupError, match=r"^Error loading ASGI app factory: no database set one$"):
        loader.call_factory(create)


def test_asynchronous_factory_is_refused() -> None:
    async def create() -> None: ...

    with pytest.raises(StartupError, match="an object of type coroutine"):
        loader.call_factory(create)


def test_import_string_names_object() -> None:
    assert import_from_string("sys:path") is sys.path


def test_object_that_is_no_string_is_returned_unchanged() -> None:
    assert import_from_string(sys) is sys


def test_import_string_of_missing_attribute_is_refused() -> None:
    with pytest.raises(ImportFromStringError):
        import_from_string("sys:no_such_name")
