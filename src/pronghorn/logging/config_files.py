"""Set up `logging` as `--log-config` says. Configurations written for uvicorn work unchanged."""

from __future__ import annotations

import configparser
import copy
import logging.config
import os
from typing import IO, TYPE_CHECKING, Any

from pronghorn.errors import StartupError
from pronghorn.logging.defaults import LOGGERS
from pronghorn.logging.uvicorn_names import NAMES

if TYPE_CHECKING:
    from pronghorn.logging.defaults import LogConfig

# Our formatters under uvicorn's names, whether uvicorn is installed or not.
_FORMATTERS = {
    f"uvicorn.logging.{name}": f"pronghorn.logging.{name}"
    for name in ("ColourizedFormatter", "DefaultFormatter", "AccessFormatter")
}


def apply(log_config: LogConfig, use_colors: bool | None) -> set[str]:
    """Set up `logging`; return the names of the loggers that `log_config` sets up, without the root. A path is read as
    JSON or YAML by its suffix, otherwise by `logging.config.fileConfig`.

    Raises StartupError, with a one-line reason, if the file cannot be read or is not a valid configuration.
    """
    if isinstance(log_config, os.PathLike):
        log_config = os.fspath(log_config)
    name = f" {log_config!r}" if isinstance(log_config, str) else ""
    try:
        if isinstance(log_config, str) and log_config.endswith((".json", ".yaml", ".yml")):
            log_config = _read(log_config)
        if isinstance(log_config, dict):
            ours = _ours(log_config, use_colors)
            logging.config.dictConfig(ours)
            return set(ours.get("loggers") or ())
        parser = _ours_of_ini(log_config)
        logging.config.fileConfig(parser, disable_existing_loggers=False)
        return {parser.get(each, "qualname") for each in parser.sections() if parser.has_option(each, "qualname")}
    except StartupError:
        raise
    except Exception as error:
        raise StartupError(f"Cannot set up logging with --log-config{name}: {_reason(error)}") from None


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        if path.endswith(".json"):
            import json

            loaded = json.load(file)
        else:
            try:
                import yaml
            except ImportError:
                raise StartupError(
                    "A YAML logging configuration needs PyYAML: pip install 'pronghorn[standard]'."
                ) from None
            loaded = yaml.safe_load(file)
    if not isinstance(loaded, dict):
        raise ValueError("it holds no mapping")
    return loaded


def _ours(log_config: dict[str, Any], use_colors: bool | None) -> dict[str, Any]:
    """Return a copy with our names instead of uvicorn's. Of two entries for one logger, that with our name wins, unless
    it is still the default of LOGGING_CONFIG.

    `use_colors` overrides the setting of the formatters `default` and `access`.
    """
    formatters = {key: _our_formatter(value) for key, value in (log_config.get("formatters") or {}).items()}
    if use_colors is not None:
        for key in {"default", "access"} & formatters.keys():
            if "()" in formatters[key]:
                formatters[key] = {**formatters[key], "use_colors": use_colors}
    ours: dict[str, Any] = {
        "loggers": _our_loggers(log_config.get("loggers") or {}),
        "formatters": formatters,
        "filters": {key: _our_filter(value) for key, value in (log_config.get("filters") or {}).items()},
    }
    return {**log_config, **{key: value for key, value in ours.items() if log_config.get(key) is not None}}


def _our_loggers(given: dict[str, Any]) -> dict[str, Any]:
    loggers = {name: value for name, value in given.items() if name not in NAMES}
    for theirs, ours in NAMES.items():
        if theirs in given and (ours not in given or given[ours] == LOGGERS.get(ours)):
            loggers[ours] = given[theirs]
    return loggers


def _our_formatter(formatter: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _FORMATTERS.get(value, value) if key in ("()", "class") and isinstance(value, str) else value
        for key, value in formatter.items()
    }


def _our_filter(described: dict[str, Any]) -> dict[str, Any]:
    """Rename the logger in a filter of `logging`'s own class, which selects by name."""
    if "()" in described or described.get("name") not in NAMES:
        return described
    return {**described, "name": NAMES[described["name"]]}


def _ours_of_ini(log_config: str | configparser.RawConfigParser | IO[Any]) -> configparser.RawConfigParser:
    if isinstance(log_config, configparser.RawConfigParser):
        parser = copy.deepcopy(log_config)
    else:
        parser = configparser.ConfigParser()
        if isinstance(log_config, str):
            with open(log_config, encoding="utf-8") as file:
                parser.read_file(file)
        else:
            parser.read_file(log_config)
    for section in parser.sections():
        kind = parser.get(section, "class", raw=True, fallback="")
        if section.startswith("formatter_") and kind in _FORMATTERS:
            parser.set(section, "class", _FORMATTERS[kind])
    return parser


def _reason(error: BaseException) -> str:
    """The error in one line, with the causes that `logging` wraps."""
    if isinstance(error, KeyError):
        return f"it has no {error}."
    reasons = [str(error) or type(error).__name__]
    while error.__cause__ is not None:
        error = error.__cause__
        reasons.append(f"{type(error).__name__}: {error}")
    return " ".join(": ".join(reasons).split())
