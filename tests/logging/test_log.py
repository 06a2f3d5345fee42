"""Logging formats, colours and configuration, and access lines that are the same with and without `logging`."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.errors import StartupError
from pronghorn.logging import (
    TRACE_LOG_LEVEL,
    AccessFormatter,
    DefaultFormatter,
    JSONFormatter,
    access_format,
    defaults,
    log,
)
from pronghorn.logging.access_log import AccessLog

NAMES = ("pronghorn", "pronghorn.error", "pronghorn.access", "pronghorn.asgi")
TRICKY = 'a "quoted" \r\n line \u2028'
REQUEST = ("127.0.0.1:55440", "GET", "/a%20b?q=%41", "1.1", 200)
LINE = 'INFO:     127.0.0.1:55440 - "GET /a%20b?q=%41 HTTP/1.1" 200 OK'


@pytest.fixture(autouse=True)
def untouched_loggers() -> Iterator[None]:
    """Reset our loggers before each test and restore them after it."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(each.handlers.copy(), each.level, each.propagate, each.filters.copy()) for each in loggers]
    for each in loggers:
        each.handlers, each.level, each.propagate, each.filters = [], 0, True, []
        each.disabled = False
    yield
    for each, (handlers, level, propagate, filters) in zip(loggers, before, strict=True):
        each.handlers, each.propagate, each.filters = handlers, propagate, filters
        each.setLevel(level)


def record(level: int = logging.INFO, message: str = "hello", *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("pronghorn.error", level, __file__, 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def access_log(colours: bool = False) -> tuple[AccessLog, io.StringIO, logging.Logger]:
    """An access log with the default configuration that writes to a string."""
    log.configure(defaults.LOGGING_CONFIG, None, True, colours)
    logger = logging.getLogger("pronghorn.access")
    stream = io.StringIO()
    handler: Any = logger.handlers[0]
    handler.setStream(stream)
    return AccessLog.create(logger), stream, logger


def line(access: AccessLog, client: str, method: str, path: str, version: str, status: int) -> str:
    """The line as batches contain it, built from its parts."""
    request = f"{method} {path} HTTP/{version}"
    parts = access.level_prefix, client, access.before_request, request, access.after_request
    return "".join([*parts, access.status_text(status)])


@pytest.mark.parametrize(
    ("level", "prefix"),
    [
        (TRACE_LOG_LEVEL, "TRACE:    "),
        (logging.DEBUG, "DEBUG:    "),
        (logging.INFO, "INFO:     "),
        (logging.WARNING, "WARNING:  "),
        (logging.ERROR, "ERROR:    "),
        (logging.CRITICAL, "CRITICAL: "),
    ],
)
def test_message_starts_at_the_eleventh_column(level: int, prefix: str) -> None:
    log.configure(None, None, True, None)
    assert DefaultFormatter(defaults.DEFAULT_FORMAT, use_colors=False).format(record(level)) == f"{prefix}hello"


def test_level_and_message_are_coloured() -> None:
    formatter = DefaultFormatter(defaults.DEFAULT_FORMAT, use_colors=True)
    made = record(logging.INFO, "process [%d]", 7, color_message="process [\x1b[36m%d\x1b[0m]")
    assert formatter.format(made) == "\x1b[32mINFO\x1b[0m:     process [\x1b[36m7\x1b[0m]"


def test_formatting_leaves_record_unchanged() -> None:
    made = record(logging.INFO, "plain", color_message="coloured")
    DefaultFormatter(defaults.DEFAULT_FORMAT, use_colors=True).format(made)
    assert (made.getMessage(), hasattr(made, "levelprefix")) == ("plain", False)


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "200 OK"), (404, "404 Not Found"), (599, "599 ")],
)
def test_status_has_its_phrase(status: int, text: str) -> None:
    assert AccessFormatter(use_colors=False).get_status_code(status) == text


@pytest.mark.parametrize(("status", "colour"), [(101, "97"), (200, "32"), (302, "33"), (404, "31"), (503, "91")])
def test_status_has_its_colour(status: int, colour: str) -> None:
    assert AccessFormatter(use_colors=True).get_status_code(status).startswith(f"\x1b[{colour}m{status} ")


def test_subclass_may_change_colours() -> None:
    class Formatter(AccessFormatter):
        level_name_colors = {**AccessFormatter.level_name_colors, logging.INFO: lambda name: f"<{name}>"}  # noqa: RUF012
        status_code_colours = {2: lambda code: f"({code})"}  # noqa: RUF012

    line = Formatter(defaults.ACCESS_FORMAT, use_colors=True).format(
        record(logging.INFO, defaults.ACCESS_MESSAGE, *REQUEST)
    )
    assert line == '<INFO>:     127.0.0.1:55440 - "\x1b[1mGET /a%20b?q=%41 HTTP/1.1\x1b[0m" (200 OK)'
    assert Formatter(use_colors=True).get_status_code(404) == "404 Not Found"


def test_access_record_has_five_arguments() -> None:
    access, _, logger = access_log()
    seen: list[logging.LogRecord] = []
    logger.addFilter(lambda record: bool(seen.append(record)))  # type: ignore[func-returns-value]
    access.record(*REQUEST)
    assert (seen[0].msg, seen[0].args) == ('%s - "%s %s HTTP/%s" %d', REQUEST)


def test_missing_standard_streams_get_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert not DefaultFormatter().use_colors
    assert not AccessFormatter().use_colors


def test_closed_stream_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    assert not AccessFormatter().use_colors


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("status", [101, 200, 204, 301, 404, 418, 500, 599, 799])
@pytest.mark.parametrize("client", ["127.0.0.1:1", "::1:65535", ""])
def test_batched_line_equals_line_of_logging(client: str, status: int, colours: bool) -> None:
    access, stream, _ = access_log(colours)
    access.record(client, "GET", "/%E2%82%AC?%", "1.0", status)
    assert stream.getvalue() == line(access, client, "GET", "/%E2%82%AC?%", "1.0", status) + "\n"


def test_access_line_has_documented_format() -> None:
    access, stream, _ = access_log()
    access.write([line(access, *REQUEST)])
    assert stream.getvalue() == LINE + "\n"


def test_lines_are_written_in_one_call() -> None:
    access, _, logger = access_log()
    handler: Any = logger.handlers[0]
    written: list[str] = []
    handler.stream = type("Stream", (), {"write": written.append, "flush": lambda: written.append("<flush>")})
    access.write(["a", "b"])
    assert written == ["a\nb\n", "<flush>"]


def test_default_configuration_is_batchable() -> None:
    assert access_log()[0].batchable()


def add_handler(logger: logging.Logger) -> None:
    logger.addHandler(logging.NullHandler())


def add_filter(logger: logging.Logger) -> None:
    logger.addFilter(lambda record: True)


def add_filter_to_handler(logger: logging.Logger) -> None:
    logger.handlers[0].addFilter(lambda record: True)


def propagate(logger: logging.Logger) -> None:
    logger.propagate = True


def raise_level(logger: logging.Logger) -> None:
    logger.setLevel(logging.WARNING)


def raise_level_of_handler(logger: logging.Logger) -> None:
    logger.handlers[0].setLevel(logging.WARNING)


def replace_formatter(logger: logging.Logger) -> None:
    logger.handlers[0].setFormatter(logging.Formatter())


def replace_handler(logger: logging.Logger) -> None:
    logger.handlers = [logging.StreamHandler()]


def remove_handler(logger: logging.Logger) -> None:
    logger.handlers = []


CHANGES = [
    add_handler,
    add_filter,
    add_filter_to_handler,
    propagate,
    raise_level,
    raise_level_of_handler,
    replace_formatter,
    replace_handler,
    remove_handler,
]


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_logger_ends_batching(change: Any) -> None:
    access, _, logger = access_log()
    change(logger)
    assert not access.batchable()
    assert not AccessLog.create(logger).batchable()


def test_custom_record_factory_ends_batching() -> None:
    access, _, _ = access_log()
    logging.setLogRecordFactory(lambda *a, **k: logging.LogRecord(*a, **k))
    try:
        assert not access.batchable()
    finally:
        logging.setLogRecordFactory(logging.LogRecord)


def test_another_format_ends_batching() -> None:
    config = copy.deepcopy(defaults.LOGGING_CONFIG)
    config["formatters"]["access"]["fmt"] = "%(asctime)s %(client_addr)s %(status_code)s"
    log.configure(config, None, True, None)
    assert not AccessLog.create(logging.getLogger("pronghorn.access")).batchable()


def test_failing_stream_is_reported_without_exception(capsys: pytest.CaptureFixture[str]) -> None:
    access, stream, _ = access_log()
    stream.close()
    access.write([LINE])
    assert "ValueError: I/O operation on closed file" in capsys.readouterr().err


def test_disabled_access_log_prints_nothing() -> None:
    log.configure(defaults.LOGGING_CONFIG, None, False, None)
    logger = logging.getLogger("pronghorn.access")
    access = AccessLog.create(logger)
    assert (logger.handlers, logger.propagate, access.enabled(), access.batchable()) == ([], False, False, False)


def test_errors_go_to_stderr_and_requests_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(defaults.LOGGING_CONFIG, None, True, False)
    logging.getLogger("pronghorn.error").info("hello")
    AccessLog.create(logging.getLogger("pronghorn.access")).record(*REQUEST)
    assert capsys.readouterr() == (LINE + "\n", "INFO:     hello\n")


@pytest.mark.parametrize(("level", "number"), [("TRACE", 5), ("warning", 30), (35, 35)])
def test_log_level_applies_to_all_loggers(level: str | int, number: int) -> None:
    log.configure(defaults.LOGGING_CONFIG, level, True, None)
    assert [logging.getLogger(name).level for name in NAMES] == [logging.INFO, number, number, number]


def test_use_colors_does_not_change_configuration_of_user() -> None:
    config = copy.deepcopy(defaults.LOGGING_CONFIG)
    log.configure(config, None, True, True)
    assert config == defaults.LOGGING_CONFIG
    formatter: Any = logging.getLogger("pronghorn.access").handlers[0].formatter
    assert formatter.use_colors is True


def test_log_config_none_adds_no_handlers() -> None:
    log.configure(None, None, True, None)
    assert logging.getLogger("pronghorn").handlers == []


YAML = """
version: 1
disable_existing_loggers: false
handlers: {plain: {class: logging.NullHandler}}
loggers: {pronghorn: {handlers: [plain], level: DEBUG}}
"""
INI = """
[loggers]
keys=root,pronghorn
[handlers]
keys=plain
[formatters]
keys=
[logger_root]
handlers=
[logger_pronghorn]
level=DEBUG
handlers=plain
qualname=pronghorn
[handler_plain]
class=NullHandler
args=()
"""


@pytest.mark.parametrize(("name", "text"), [("a.yaml", YAML), ("a.yml", YAML), ("a.ini", INI), ("a.json", None)])
def test_log_config_may_be_file(tmp_path: Path, name: str, text: str | None) -> None:
    if name.endswith(("yaml", "yml")):
        pytest.importorskip("yaml")
    root = logging.getLogger().handlers.copy()
    path = tmp_path / name
    null = {"version": 1, "handlers": {"plain": {"class": "logging.NullHandler"}}}
    path.write_text(text or json.dumps({**null, "loggers": {"pronghorn": {"handlers": ["plain"], "level": "DEBUG"}}}))
    try:
        log.configure(path, None, True, None)
    finally:
        logging.getLogger().handlers[:] = root
    logger = logging.getLogger("pronghorn")
    assert (logger.level, [type(each) for each in logger.handlers]) == (logging.DEBUG, [logging.NullHandler])


def test_yaml_without_pyyaml_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "log.yaml"
    path.write_text(YAML)
    with pytest.raises(StartupError, match="PyYAML"):
        log.configure(str(path), None, True, None)


def test_reported_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(defaults.LOGGING_CONFIG, None, True, False)
    log.report(StartupError("port in use"))
    assert capsys.readouterr().err == "ERROR:    port in use\n"


def test_reported_error_shows_traceback_of_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(defaults.LOGGING_CONFIG, None, True, False)
    error = StartupError("it raised")
    error.__cause__ = ZeroDivisionError("division by zero")
    log.report(error)
    assert capsys.readouterr().err == "ERROR:    it raised\nZeroDivisionError: division by zero\n"


# JSON


def json_line(made: logging.LogRecord) -> dict[str, str]:
    text = JSONFormatter().format(made)
    assert "\n" not in text
    loaded: dict[str, str] = json.loads(text)
    return loaded


def test_json_formatter_writes_one_object_per_line() -> None:
    made = record(logging.WARNING, "%s", TRICKY, color_message="coloured")
    made.created = 1795353518.0625
    assert json_line(made) == {
        "time": "2026-11-22T13:18:38.062Z",
        "level": "WARNING",
        "logger": "pronghorn.error",
        "message": TRICKY,
    }


def test_json_formatter_includes_traceback() -> None:
    made = record(logging.ERROR, "Exception in ASGI application\n")
    try:
        raise ZeroDivisionError(TRICKY)
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    made.stack_info = "Stack:\n  here"
    line = json_line(made)
    assert line["message"] == "Exception in ASGI application"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith(f"ZeroDivisionError: {TRICKY}")
    assert line["stack"] == "Stack:\n  here"


def test_json_configuration_does_not_change_default() -> None:
    before = copy.deepcopy(defaults.LOGGING_CONFIG)
    log.configure(log.as_json(defaults.LOGGING_CONFIG), None, True, True)
    assert before == defaults.LOGGING_CONFIG
    assert [type(logging.getLogger(name).handlers[0].formatter) for name in ("pronghorn", "pronghorn.access")] == [
        JSONFormatter,
        AccessFormatter,
    ]


# Lines in the user's format that pass through `logging`


def test_our_formatter_prints_access_line_of_record() -> None:
    access, stream, logger = access_log()
    logger.addFilter(lambda record: record.args[4] == 200)  # type: ignore[index,comparison-overlap,arg-type]
    access.record(*REQUEST, "the line")
    assert stream.getvalue() == "the line\n"


def test_another_formatter_may_use_access_line() -> None:
    access, stream, logger = access_log()
    logger.handlers[0].setFormatter(logging.Formatter("%(name)s %(access_line)s"))
    access.record(*REQUEST, "the line")
    assert stream.getvalue() == "pronghorn.access the line\n"


def test_custom_access_format_is_batchable_with_any_format_of_formatter() -> None:
    access, _, logger = access_log()
    logger.handlers[0].setFormatter(AccessFormatter("%(message)s"))
    assert not AccessLog.create(logger).batchable()
    assert AccessLog.create(logger, "%(h)s").batchable()
    assert not access.batchable()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("%(z)s", r"^%\(z\)s is not an atom; the atoms are client_addr, h, "),
        ("%({a b}i)s", r"is not an atom"),
        ("%({PATH}e)s", r"is not an atom"),
        ("100%", r"^at '%': an atom is %\(name\)s, a percent sign %%$"),
        ("%(h)d", r"^at '%\(h\)d'"),
        ("%(h", r"^at '%\(h'"),
    ],
)
def test_invalid_access_format_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        access_format.parse(text)


def test_every_name_of_an_atom_is_known() -> None:
    for name in [*access_format.ATOMS, *access_format.ALIASES]:
        assert len(access_format.parse(f"%({name})s")) == 1


def test_default_format_of_gunicorn_is_known() -> None:
    assert access_format.parse('%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"')


@pytest.mark.parametrize(
    ("use_colors", "line"),
    [(False, "INFO:     Started x [{}] and y"), (True, "Started x [\x1b[36m{}\x1b[0m] and y")],
)
def test_process_is_announced(use_colors: bool, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(defaults.LOGGING_CONFIG, None, True, use_colors)
    log.announce("Started x", " and y")
    assert line.format(os.getpid()) in capsys.readouterr().err


def test_use_colors_applies_only_to_our_formatters(loggers: None) -> None:
    formatters = {"default": {"format": "%(message)s"}, "access": defaults.LOGGING_CONFIG["formatters"]["access"]}
    log.configure({**defaults.LOGGING_CONFIG, "formatters": formatters}, None, True, use_colors=True)
    plain, coloured = (logging.getLogger(name).handlers[0].formatter for name in ("pronghorn", "pronghorn.access"))
    assert type(plain) is logging.Formatter
    assert isinstance(coloured, AccessFormatter)
    assert coloured.use_colors
