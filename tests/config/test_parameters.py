"""The table of parameters: each entry is consistent in itself."""

from __future__ import annotations

import pickle

import pytest

from pronghorn.config.parameters import PARAMETERS, ConfigError, Parameter, Parameters

ENTRIES = pytest.mark.parametrize("entry", PARAMETERS.values(), ids=lambda entry: entry.name)


def test_every_field_has_an_entry() -> None:
    assert {"app", *PARAMETERS} == set(Parameters.__dataclass_fields__)


@ENTRIES
def test_default_is_valid(entry: Parameter) -> None:
    entry.validate(entry.default)


@ENTRIES
def test_only_options_have_flags(entry: Parameter) -> None:
    assert entry.flag.startswith("--") == (entry.topic is not None)


@ENTRIES
def test_help_is_a_sentence(entry: Parameter) -> None:
    assert entry.help[0].isupper()
    assert entry.help.endswith(".")


def test_flags_are_unique() -> None:
    flags = [flag for entry in PARAMETERS.values() for flag in entry.flag.split("/") if flag]
    assert len(flags) == len(set(flags))


@ENTRIES
def test_error_names_its_parameter(entry: Parameter) -> None:
    if entry.type in (int, float):
        with pytest.raises(ConfigError, match=rf"^{entry.name} must be a number between ") as caught:
            entry.validate(entry.least - 1)
        assert caught.value.parameter == entry.name


def test_error_can_be_sent_to_another_process() -> None:
    with pytest.raises(ConfigError) as caught:
        PARAMETERS["lifespan"].validate("%s")
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == "lifespan must be one of auto, on, off, not '%s'"


def test_gunicorns_settings_exist() -> None:
    config = pytest.importorskip("gunicorn.config")
    known = config.Config().settings
    wanted = {entry.gunicorn for entry in PARAMETERS.values()} - {"", "asgi_loop", "asgi_lifespan", "root_path"}
    assert wanted <= set(known)
