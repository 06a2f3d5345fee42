"""Configurations and code for uvicorn's loggers apply to ours."""

from __future__ import annotations

import configparser
import copy
import importlib
import io
import json
import logging
import logging.config
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pronghorn.logging
from pronghorn.errors import StartupError
from pronghorn.logging import ColourizedFormatter, defaults, log
from pronghorn.logging.access_log import AccessLog
from pronghorn.logging.uvicorn_names import NAMES, join_loggers

LINE = 'INFO:     1.2.3.4:5 - "GET /health HTTP/1.1" 200 OK\n'


@pytest.fixture(autouse=True)
def new_loggers() -> Iterator[None]:
    """Remove the loggers of both families before each test and restore them after it."""
    loggers = logging.Logger.manager.loggerDict
    root = logging.getLogger()
    handlers, level = root.handlers.copy(), root.level
    before = {name: loggers.pop(name) for name in list(loggers) if name.startswith(("uvicorn", "pronghorn"))}
    others = {name: each.disabled for name, each in loggers.items() if isinstance(each, logging.Logger)}
    yield
    for name in list(loggers):
        if name.startswith(("uvicorn", "pronghorn")):
            del loggers[name]
    loggers.update(before)
    for name, disabled in others.items():
        logging.getLogger(name).disabled = disabled
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(params=["with uvicorn", "without uvicorn"])
def perhaps_uvicorn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without uvicorn":
        monkeypatch.setitem(sys.modules, "uvicorn", None)
        monkeypatch.setitem(sys.modules, "uvicorn.logging", None)
    else:
        pytest.importorskip("uvicorn")


def access() -> logging.Logger:
    return logging.getLogger("pronghorn.access")


def log_request(path: str = "/health", status: int = 200) -> None:
    AccessLog.create(access()).record("1.2.3.4:5", "GET", path, "1.1", status)


def log_message(text: str = "hello") -> None:
    logging.getLogger("pronghorn.error").info(text)


def set_up(log_config: Any, **options: Any) -> None:
    log.configure(log_config, **{"log_level": None, "access_log": True, "use_colors": None, **options})


def uvicorn_configuration(**changes: Any) -> dict[str, Any]:
    """A logging configuration like the one that uvicorn documents."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "default": {
                "()": "uvicorn.logging.DefaultFormatter",
                "fmt": "%(levelprefix)s %(message)s",
                "use_colors": None,
            },
            "access": {
                "()": "uvicorn.logging.AccessFormatter",
                "fmt": '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s',
            },
        },
        "handlers": {
            "default": {"formatter": "default", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
            "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
        },
        "loggers": {
            "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
            "uvicorn.error": {"level": "INFO"},
            "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
        },
        **changes,
    }


# Configurations


def test_configuration_of_installed_uvicorn_works(capsys: pytest.CaptureFixture[str]) -> None:
    config = pytest.importorskip("uvicorn.config")
    set_up(config.LOGGING_CONFIG)
    log_message()
    log_request()
    assert capsys.readouterr() == (LINE, "INFO:     hello\n")
    assert AccessLog.create(access()).batchable()


@pytest.mark.usefixtures("perhaps_uvicorn")
@pytest.mark.parametrize("disable_existing", [False, True])
def test_configuration_for_uvicorn_works(capsys: pytest.CaptureFixture[str], disable_existing: bool) -> None:
    config = uvicorn_configuration(disable_existing_loggers=disable_existing)
    before = copy.deepcopy(config)
    set_up(config)
    log_message()
    log_request()
    assert capsys.readouterr() == (LINE, "INFO:     hello\n")
    assert AccessLog.create(access()).batchable()
    assert config == before


@pytest.mark.usefixtures("perhaps_uvicorn")
def test_use_colors_applies_to_configuration_for_uvicorn(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(uvicorn_configuration(), use_colors=True)
    log_message()
    assert capsys.readouterr().err == "\x1b[32mINFO\x1b[0m:     hello\n"


@pytest.mark.usefixtures("perhaps_uvicorn")
@pytest.mark.parametrize("key", ["()", "class"])
def test_formatter_of_uvicorn_becomes_ours_under_either_key(key: str) -> None:
    config = uvicorn_configuration(formatters={"default": {key: "uvicorn.logging.ColourizedFormatter"}, "access": {}})
    set_up(config)
    assert type(logging.getLogger("pronghorn").handlers[0].formatter) is ColourizedFormatter


def test_access_log_alone_may_go_to_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "access.log"
    set_up(
        {
            "version": 1,
            "formatters": {"plain": {"format": "%(asctime)s %(message)s", "datefmt": "NOW"}},
            "handlers": {"file": {"class": "logging.FileHandler", "filename": str(file), "formatter": "plain"}},
            "loggers": {"uvicorn.access": {"handlers": ["file"], "level": "INFO", "propagate": False}},
        }
    )
    log_request()
    access().handlers[0].close()
    assert file.read_text() == 'NOW 1.2.3.4:5 - "GET /health HTTP/1.1" 200\n'
    assert capsys.readouterr() == ("", "")


def test_all_records_may_propagate_to_root(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(name)s: %(message)s"}},
            "handlers": {
                "console": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout"}
            },
            "root": {"handlers": ["console"], "level": "INFO"},
            "loggers": {name: {"handlers": [], "propagate": True} for name in ("uvicorn", "uvicorn.access")},
        }
    )
    log_message()
    log_request()
    assert capsys.readouterr().out == (
        'pronghorn.error: hello\npronghorn.access: 1.2.3.4:5 - "GET /health HTTP/1.1" 200\n'
    )


def test_higher_level_silences_access_log(capsys: pytest.CaptureFixture[str]) -> None:
    config = uvicorn_configuration()
    config["loggers"]["uvicorn.access"]["level"] = "WARNING"
    set_up(config)
    log_request()
    assert capsys.readouterr().out == ""


class HealthFilter(logging.Filter):
    """A filter like those in many applications."""

    def filter(self, record: logging.LogRecord) -> bool:
        args: Any = record.args
        return bool(args and len(args) == 5 and args[2] != "/health")


def test_configured_filter_drops_health_checks(capsys: pytest.CaptureFixture[str]) -> None:
    config = uvicorn_configuration(filters={"health": {"()": f"{__name__}.HealthFilter"}})
    config["loggers"]["uvicorn.access"]["filters"] = ["health"]
    set_up(config)
    log_request("/health")
    log_request("/other")
    assert capsys.readouterr().out == LINE.replace("/health", "/other")


def test_filter_by_uvicorn_name_passes_our_records(capsys: pytest.CaptureFixture[str]) -> None:
    config = uvicorn_configuration(filters={"requests": {"name": "uvicorn.access"}})
    config["handlers"]["access"]["filters"] = ["requests"]
    set_up(config)
    log_request()
    assert capsys.readouterr().out == LINE


def test_our_name_wins_if_both_are_configured(capsys: pytest.CaptureFixture[str]) -> None:
    config = uvicorn_configuration()
    ours = json.loads(json.dumps(config["loggers"]).replace("uvicorn", "pronghorn"))
    for loggers in ({**config["loggers"], **ours}, {**ours, **config["loggers"]}):
        config["loggers"] = copy.deepcopy(loggers)
        config["loggers"]["uvicorn.access"]["level"] = "ERROR"
        config["loggers"]["pronghorn.access"]["level"] = "DEBUG"
        set_up(config)
        log_request()
        log_message()
        assert capsys.readouterr() == (LINE, "INFO:     hello\n")


def level(config: dict[str, Any]) -> None:
    config["loggers"]["uvicorn.access"]["level"] = "ERROR"


def entry(config: dict[str, Any]) -> None:
    config["loggers"]["uvicorn.access"] = {"handlers": [], "level": "ERROR", "propagate": False}


def everything(config: dict[str, Any]) -> None:
    config["loggers"] = {"uvicorn": {"handlers": ["default"], "level": "INFO"}, "uvicorn.access": {"level": "ERROR"}}


def separated(config: dict[str, Any]) -> None:
    config.update(json.loads(json.dumps(config)))
    level(config)


@pytest.mark.parametrize("change", [level, entry, everything, separated])
def test_default_configuration_may_be_changed_under_uvicorn_names(
    change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = copy.deepcopy(defaults.LOGGING_CONFIG)
    change(config)
    set_up(config)
    log_request()
    log_message()
    assert capsys.readouterr() == ("", "INFO:     hello\n")


def test_default_configuration_has_both_names() -> None:
    loggers = defaults.LOGGING_CONFIG["loggers"]
    for suffix in ("", ".error", ".access"):
        assert loggers[f"uvicorn{suffix}"] is loggers[f"pronghorn{suffix}"]


def test_program_may_apply_default_configuration_itself(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(defaults.LOGGING_CONFIG)
    set_up(None)
    log_message()
    log_request()
    assert capsys.readouterr() == (LINE, "INFO:     hello\n")


def test_names_of_both_may_be_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    config = uvicorn_configuration()
    config["loggers"]["pronghorn"] = config["loggers"].pop("uvicorn")
    set_up(config)
    log_request()
    log_message()
    assert capsys.readouterr() == (LINE, "INFO:     hello\n")


def test_incremental_configuration_keeps_handlers() -> None:
    set_up(defaults.LOGGING_CONFIG)
    set_up({"version": 1, "incremental": True, "loggers": {"uvicorn.access": {"level": "ERROR"}}})
    assert access().level == logging.ERROR
    assert access().handlers


INI = """
[loggers]
keys=root,uvicorn,access
[handlers]
keys=err,out
[formatters]
keys=default,access
[logger_root]
level=WARNING
handlers=
[logger_uvicorn]
level=INFO
handlers=err
propagate=0
qualname=uvicorn
[logger_access]
level=INFO
handlers=out
propagate=0
qualname=uvicorn.access
[handler_err]
class=StreamHandler
formatter=default
args=(sys.stderr,)
[handler_out]
class=StreamHandler
formatter=access
args=(sys.stdout,)
[formatter_default]
class=uvicorn.logging.DefaultFormatter
format=%(levelprefix)s %(message)s
[formatter_access]
class=uvicorn.logging.AccessFormatter
format=%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s
"""


def parsed() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(INI)
    return parser


@pytest.mark.usefixtures("perhaps_uvicorn")
@pytest.mark.parametrize("kind", ["path", "text", "parser", "file", "json", "yaml"])
def test_configuration_is_accepted_in_every_form(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"log.{kind if kind in ('json', 'yaml') else 'conf'}"
    path.write_text(INI)
    config: Any = path
    if kind in ("json", "yaml"):  # JSON is YAML
        if kind == "yaml":
            pytest.importorskip("yaml")
        path.write_text(json.dumps(uvicorn_configuration()))
    elif kind == "text":
        config = str(path)
    elif kind == "parser":
        config = parsed()
    elif kind == "file":
        config = io.StringIO(INI)
    set_up(config)
    log_message()
    log_request()
    assert capsys.readouterr() == (LINE, "INFO:     hello\n")


def test_parser_of_user_is_not_changed() -> None:
    parser, as_written = parsed(), io.StringIO()
    set_up(parser)
    parser.write(as_written)
    assert as_written.getvalue().count("uvicorn.logging") == 2


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", "{", "Expecting property name"),
        ("a.json", "[]", "it holds no mapping"),
        ("a.json", "{}", "dictionary doesn't specify a version"),
        (
            "a.json",
            json.dumps({"version": 1, "handlers": {"a": {"class": "no.Such"}}}),
            "Unable to configure handler 'a'.*no",
        ),
        ("a.yaml", "a: [", "flow"),
        ("a.yaml", "", "it holds no mapping"),
        ("a.conf", "no section", "File contains no section headers"),
        ("a.conf", "", "it has no 'formatters'."),
        ("missing.json", None, "No such file or directory"),
        ("missing.conf", None, "No such file or directory"),
    ],
)
def test_invalid_configuration_is_refused(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(StartupError, match=reason) as caught:
        set_up(path)
    assert str(caught.value).startswith(f"Cannot set up logging with --log-config {str(path)!r}: ")
    assert "\n" not in str(caught.value)


def test_module_logging_has_names_of_uvicorn() -> None:
    for name in ("DefaultFormatter", "AccessFormatter", "ColourizedFormatter", "TRACE_LOG_LEVEL"):
        assert hasattr(pronghorn.logging, name)


@pytest.mark.parametrize("name", ["DefaultFormatter", "AccessFormatter", "ColourizedFormatter"])
def test_formatters_have_parameters_of_uvicorn(name: str) -> None:
    import inspect

    theirs: ModuleType = pytest.importorskip("uvicorn.logging")
    parameters = [inspect.signature(getattr(module, name)).parameters for module in (theirs, pronghorn.logging)]
    assert [(each.name, each.default) for each in parameters[0].values()] == [
        (each.name, each.default) for each in parameters[1].values()
    ]
    assert {method for method in vars(getattr(theirs, name)) if not method.startswith("_")} - set(
        dir(getattr(pronghorn.logging, name))
    ) <= {"level_name_colors", "status_code_colours"}


# Code


@pytest.mark.parametrize("when", ["before", "after"])
def test_filter_added_by_code_applies(when: str, capsys: pytest.CaptureFixture[str]) -> None:
    if when == "before":
        logging.getLogger("uvicorn.access").addFilter(HealthFilter())
    set_up(defaults.LOGGING_CONFIG)
    if when == "after":
        logging.getLogger("uvicorn.access").addFilter(HealthFilter())
    log_request("/health")
    log_request("/other")
    assert capsys.readouterr().out == LINE.replace("/health", "/other")


@pytest.mark.parametrize("when", ["before", "after"])
def test_handler_added_by_code_gets_records(when: str) -> None:
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    if when == "before":
        logging.getLogger("uvicorn.access").addHandler(handler)
        logging.getLogger("uvicorn.access").setLevel("INFO")
    set_up(None)
    if when == "after":
        logging.getLogger("uvicorn.access").addHandler(handler)
        logging.getLogger("uvicorn.access").setLevel("INFO")
    log_request()
    assert [record.args for record in seen] == [("1.2.3.4:5", "GET", "/health", "1.1", 200)]


def test_logger_disabled_by_code_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(defaults.LOGGING_CONFIG)
    log_of_requests = AccessLog.create(access())
    theirs = logging.getLogger("uvicorn.access")
    theirs.disabled = True
    assert not log_of_requests.batchable()
    log_request()
    assert capsys.readouterr().out == ""
    theirs.disabled = False
    log_request()
    assert capsys.readouterr().out == LINE


def test_logger_disabled_before_configuration_stays_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("uvicorn.access").disabled = True
    set_up(None)
    assert access().disabled


@pytest.mark.parametrize(
    "change",
    [
        lambda logger: logger.handlers.clear(),
        lambda logger: setattr(logger, "handlers", []),
        lambda logger: logger.removeHandler(logger.handlers[0]),
        lambda logger: logger.setLevel(logging.WARNING),
    ],
)
def test_code_may_silence_access_log(change: Any, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(defaults.LOGGING_CONFIG)
    change(logging.getLogger("uvicorn.access"))
    log_request()
    assert capsys.readouterr().out == ""


def test_formatter_replaced_by_code_applies(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(defaults.LOGGING_CONFIG)
    logging.getLogger("uvicorn.access").handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s", "NOW"))
    log_request()
    assert capsys.readouterr().out == 'NOW 1.2.3.4:5 - "GET /health HTTP/1.1" 200\n'


def test_records_of_uvicorn_loggers_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(defaults.LOGGING_CONFIG)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.mine"):
        logging.getLogger(name).info("from the application")
    assert capsys.readouterr().err == "INFO:     from the application\n" * 3


@pytest.mark.parametrize("disable_existing", [False, True])
@pytest.mark.parametrize("family", ["uvicorn", "pronghorn"])
def test_application_may_configure_logging_itself(
    family: str, disable_existing: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a configuration disables the loggers it does not name, either name protects ours."""
    set_up(defaults.LOGGING_CONFIG)
    text = json.dumps(uvicorn_configuration(disable_existing_loggers=disable_existing))
    logging.config.dictConfig(
        json.loads(text.replace("uvicorn", family).replace(f"{family}.logging", "pronghorn.logging"))
    )
    log_request()
    log_message()
    assert capsys.readouterr() == (LINE, "INFO:     hello\n")
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": disable_existing})
    assert access().disabled is disable_existing
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    assert not access().disabled


def test_joining_twice_changes_nothing() -> None:
    set_up(defaults.LOGGING_CONFIG)
    before = [(logging.getLogger(name), vars(logging.getLogger(name)).copy()) for name in NAMES]
    join_loggers()
    assert [(logging.getLogger(name), vars(logging.getLogger(name))) for name in NAMES] == before


def test_logger_class_of_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noted(logging.Logger):
        def note(self) -> str:
            return self.name

    monkeypatch.setattr(logging.Logger.manager, "loggerClass", Noted)
    join_loggers()
    assert logging.getLogger("uvicorn.access").note() == "pronghorn.access"  # type: ignore[attr-defined]


def test_pickled_logger_is_same_logger() -> None:
    join_loggers()
    for name in (*NAMES, *NAMES.values()):
        assert vars(pickle.loads(pickle.dumps(logging.getLogger(name)))) is vars(logging.getLogger(name))


def test_import_creates_no_uvicorn_logger() -> None:
    importlib.import_module("pronghorn.config")
    assert not set(NAMES) & set(logging.Logger.manager.loggerDict)
