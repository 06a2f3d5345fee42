"""A changed `--log-config`, applied while the application runs: its own loggers stay as they are."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.config import Config
from pronghorn.errors import StartupError

INI = """
[loggers]
keys = root,access
[handlers]
keys = file
[formatters]
keys = plain
[formatter_plain]
format = {mark} %(message)s
[handler_file]
class = FileHandler
formatter = plain
args = ({path!r},)
[logger_root]
handlers =
[logger_access]
handlers = file
level = INFO
propagate = 0
qualname = uvicorn.access
"""


@pytest.fixture(autouse=True)
def restored(loggers: None) -> Iterator[None]:
    """Restore the root logger and ours."""
    before = logging.root.handlers[:], logging.root.level
    yield
    for handler in logging.getLogger("pronghorn.access").handlers:
        handler.close()
    logging.root.handlers[:], logging.root.level = before


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """A function that writes a configuration whose lines in app.log begin with a mark."""

    def write(mark: str, suffix: str = ".json", **more: Any) -> str:
        path = tmp_path / f"log{suffix}"
        if suffix == ".ini":
            path.write_text(INI.format(mark=mark, path=str(tmp_path / "app.log")))
        else:
            file = {"class": "logging.FileHandler", "filename": str(tmp_path / "app.log"), "formatter": "plain"}
            access = {"handlers": ["file"], "level": "INFO", "propagate": False}
            config = {
                "version": 1,
                "formatters": {"plain": {"format": f"{mark} %(message)s"}},
                "handlers": {"file": file},
                "loggers": {"uvicorn.access": access},
            }
            path.write_text(json.dumps(config | more))
        return str(path)

    return write


@pytest.mark.parametrize("suffix", [".json", ".ini"])
def test_changed_file_takes_effect(written: Any, tmp_path: Path, suffix: str) -> None:
    config = Config("main:app", log_config=written("old", suffix))
    logging.getLogger("pronghorn.access").info("line")
    written("new", suffix)
    config.reload_logging()
    logging.getLogger("pronghorn.access").info("line")
    assert (tmp_path / "app.log").read_text() == "old line\nnew line\n"


def test_options_are_applied_again(written: Any) -> None:
    config = Config("main:app", log_config=written("old"), log_level="warning", access_log=False)
    config.reload_logging()
    access = logging.getLogger("pronghorn.access")
    assert (access.level, access.handlers) == (logging.WARNING, [])


def test_loggers_of_the_application_stay_as_they_are(written: Any) -> None:
    config = Config("main:app", log_config=written("old"))
    enabled, disabled, child = (logging.getLogger(f"shop.{name}") for name in ("enabled", "disabled", "child"))
    disabled.disabled = True
    child.propagate = False
    child.setLevel(7)
    child.addHandler(handler := logging.NullHandler())
    written("new", handlers={}, loggers={"shop": {"level": "INFO"}})
    config.reload_logging()
    assert (enabled.disabled, disabled.disabled) == (False, True)
    assert (child.handlers, child.level, child.propagate) == ([handler], 7, False)
    assert logging.getLogger("shop").level == logging.INFO


@pytest.mark.parametrize(
    "broken",
    [
        {"handlers": {"file": {"class": "no.such.Handler"}}},
        {"loggers": {"uvicorn.access": {"level": "ERROR", "handlers": []}, "x": {"handlers": ["missing"]}}},
        {"root": {"level": "NOISE"}},
    ],
    ids=str,
)
def test_broken_file_changes_nothing(written: Any, tmp_path: Path, broken: dict[str, Any]) -> None:
    config = Config("main:app", log_config=written("old"))
    access = logging.getLogger("pronghorn.access")
    before = access.handlers[:], access.level, logging.root.level
    written("new", **broken)
    with pytest.raises(StartupError, match="Cannot set up logging with --log-config"):
        config.reload_logging()
    assert (access.handlers, access.level, logging.root.level) == before
    access.info("line")
    assert (tmp_path / "app.log").read_text() == "old line\n"


def test_configuration_of_a_program_is_not_applied_again() -> None:
    config = Config("main:app")
    logging.getLogger("pronghorn.access").handlers = handlers = [logging.NullHandler()]
    config.reload_logging()
    assert logging.getLogger("pronghorn.access").handlers == handlers
