"""Build the compiled form of the hot path, as the variable PRONGHORN_BUILD requires.

With `required` the build fails without it, with `skip` it is left out. Without the variable, a failed compilation
prints a banner, and the server runs interpreted.
"""

import contextlib
import gzip
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

MODE = os.environ.get("PRONGHORN_BUILD", "")
SOURCES = Path("src/pronghorn/_wire")
DECLARATIONS = Path("ext")
KERNELS = DECLARATIONS / "pronghorn" / "_wire_c"
TRANSLATED = Path("build/cython")
# Only a module's PyInit function needs to be visible.
UNIX = ["-O3", "-fvisibility=hidden"]
# Debugging information would make the modules four times as large, and contain the path of the build folder.
if "-g" not in os.environ.get("CFLAGS", ""):
    UNIX.append("-g0")
if sys.platform == "linux":
    UNIX.append("-fno-plt")  # 0.6 % fewer instructions for a plain request
OPTIMISED = {"msvc": ["/O2"], "unix": UNIX, "mingw32": UNIX}

BANNER = """
************************************************************************
  pronghorn: the compiled form was NOT built.
  The server works, but interpreted and several times slower.
  Reason: {reason}
  To build it, a C compiler and Python's headers are all it takes.
  PRONGHORN_BUILD=required makes this an error, =skip silences it.
************************************************************************
"""


class BuildWire(build_ext):
    """Translates and compiles all modules, or prints the reason of a failure and leaves none."""

    def run(self) -> None:
        inplace = self.inplace
        try:
            for extension, translated in zip(self.extensions, translate(self.extensions), strict=True):
                extension.sources, extension.depends = translated.sources, translated.depends
            super().run()
        except Exception as error:
            if MODE == "required":
                raise
            for folder in (self.build_lib, "src") if inplace else (self.build_lib,):
                for extension in self.extensions:
                    Path(folder, self.get_ext_filename(extension.name)).unlink(missing_ok=True)
            self.extensions = []
            warn(error)

    def build_extensions(self) -> None:
        for extension in self.extensions:
            extension.extra_compile_args = OPTIMISED.get(self.compiler.compiler_type, [])
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()


class ReproducibleSdist(sdist):
    """Produces the same bytes from the same files if SOURCE_DATE_EPOCH is set, as wheels do by default."""

    def make_archive(self, base_name: str, kind: str, *places: Any, base_dir: str = ".", **options: Any) -> str:
        moment = os.environ.get("SOURCE_DATE_EPOCH")
        if not moment or kind != "gztar":
            return super().make_archive(base_name, kind, *places, base_dir=base_dir, **options)
        path = Path(f"{base_name}.tar.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            path.open("wb") as file,
            gzip.GzipFile("", "wb", mtime=int(moment), fileobj=file) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=lambda member: anonymous(member, int(moment)))
        return str(path)


def anonymous(member: tarfile.TarInfo, moment: int) -> tarfile.TarInfo:
    """Remove all traces of the builder's machine and time."""
    member.mtime = moment
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def modules() -> Iterator[Extension]:
    """One extension for each module of the hot path, compiled from a hand-written `.pyx` if it exists."""
    for source in sorted(SOURCES.rglob("[!_]*.py")):
        module = source.relative_to(SOURCES).with_suffix("")
        kernel = KERNELS / module.with_suffix(".pyx")
        name = ".".join(("pronghorn", "_wire_c", *module.parts))
        yield Extension(name, [str(kernel if kernel.exists() else source)])


def translate(extensions: list[Extension]) -> list[Extension]:
    """Translate the extensions to C. Every warning of Cython is an error."""
    from Cython.Build import cythonize
    from Cython.Compiler import Options

    Options.error_on_unknown_names = True
    Options.warning_errors = True
    return cythonize(
        extensions,
        force=declarations_changed(),
        include_path=[str(DECLARATIONS)],
        build_dir=str(TRANSLATED),
        # The .pxd declare the types: annotations are for type checkers, and must not become run-time checks. Without
        # freethreading_compatible, a free-threaded CPython would enable its GIL.
        compiler_directives={
            "language_level": 3,
            "infer_types": True,
            "annotation_typing": False,
            "freethreading_compatible": True,
        },
    )


def declarations_changed() -> bool:
    """Return whether a .pxd is newer than a translation. Cython itself checks only a .pxd beside its module."""
    declared = [path.stat().st_mtime for path in DECLARATIONS.rglob("*.pxd")]
    translated = [path.stat().st_mtime for path in TRANSLATED.rglob("*.c")]
    return max(declared) > min(translated, default=0)


def warn(reason: object) -> None:
    """Print the banner to stderr and to the terminal: pip shows the output of a build only with --verbose."""
    banner = BANNER.format(reason=reason)
    print(banner, file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        with contextlib.suppress(OSError), open("/dev/tty", "w", encoding="ascii", errors="replace") as terminal:
            terminal.write(banner)


if MODE not in ("", "required", "skip"):
    sys.exit(f"PRONGHORN_BUILD is {MODE!r}: it may be required, skip, or not set")
setup(
    ext_modules=[] if MODE == "skip" else list(modules()),
    cmdclass={"build_ext": BuildWire, "sdist": ReproducibleSdist},
)
