"""Fuzz one target in this process, until libFuzzer ends it: `python -m fuzz.run TARGET [OPTION...] FOLDER...`.

The interpreted form is instrumented; so is the compiled one if it is a build with sanitizers, see `fuzz.sanitizers`.
"""

from __future__ import annotations

import logging
import sys

import atheris


def main() -> None:
    target, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["pronghorn"]):
        from fuzz.comparing import forms
        from fuzz.targets import TARGETS

        forms()  # now, or what a target loads later is not instrumented
    # A warning for each odd value would fill the terminal.
    logging.disable()
    # The first argument is a command that libFuzzer runs for a merge.
    atheris.Setup([f"{sys.executable} -m fuzz.run {target}", *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
