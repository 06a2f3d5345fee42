"""Octal modes."""

from __future__ import annotations

import pytest

from pronghorn.config import Config, ConfigError
from pronghorn.process import modes


@pytest.mark.parametrize(("text", "mode"), [("660", 0o660), ("027", 0o027), ("0o750", 0o750), ("0", 0), (0o600, 0o600)])
def test_mode_is_octal(text: int | str, mode: int) -> None:
    assert modes.parse(text) == mode


@pytest.mark.parametrize("text", ["", "9", "rw", "-1", "0x1", "1777", "66600", -1, 0o1777])
def test_other_values_are_refused(text: int | str) -> None:
    for name in ("umask", "uds_permissions"):
        with pytest.raises(ConfigError, match=f"^{name}: "):
            Config("main:app", log_config=None, **{name: text})
