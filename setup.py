"""The compiled form of the hot path, and the one switch over it.

`PRONGHORN_BUILD=required` fails without it, `skip` leaves it out, and without the variable a failed try is said loudly and the server runs interpreted.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

MODE = os.environ.get("PRONGHORN_BUILD", "")
SOURCES = Path("src/pronghorn/_wire")
DECLARATIONS = Path("ext")
KERNELS = DECLARATIONS / "pronghorn" / "_wire_c"

BANNER = """
********************************************************************
  pronghorn: the compiled form was NOT built; the server will work,
  interpreted and several times slower.
  Reason: {reason}
  A C compiler is all it needs; PRONGHORN_BUILD=required makes this
  an error, PRONGHORN_BUILD=skip silences it.
********************************************************************
"""


def warn(reason):
    print(BANNER.format(reason=reason), file=sys.stderr, flush=True)


class BuildOptional(build_ext):
    """Build the extensions, or say why not."""

    def run(self):
        try:
            super().run()
        except Exception as error:
            if MODE == "required":
                raise
            self.extensions.clear()
            warn(error)


def extensions():
    if MODE == "skip":
        return []
    try:
        from Cython.Build import cythonize
        from Cython.Compiler import Options
    except ImportError as error:
        if MODE == "required":
            raise
        warn(error)
        return []
    Options.error_on_unknown_names = True
    Options.warning_errors = True
    modules = []
    for source in sorted(SOURCES.glob("[!_]*.py")):
        name = source.stem
        kernel = KERNELS / f"{name}.pyx"
        if kernel.exists():
            source = kernel
        modules.append(Extension(f"pronghorn._wire_c.{name}", [str(source)], extra_compile_args=[] if os.name == "nt" else ["-O3", "-g0"]))
    return cythonize(
        modules,
        include_path=[str(DECLARATIONS)],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "infer_types": True},
    )


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildOptional})
