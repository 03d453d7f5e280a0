"""Build fastfeed._native: the Cython wall and every room of csrc/ in one extension.

FASTFEED_BUILD=debug|asan|killpoints builds a variant for work on fastfeed itself; the Makefile has a target for each.
"""

import os
import shlex
import subprocess
import sysconfig
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

VARIANTS = {  # extra flags for compiler and linker
    "": ("-O2", ""),
    "killpoints": ("-O2 -DFF_KILL_POINTS=1", ""),
    "debug": ("-O0 -g3 -UNDEBUG -DCYTHON_TRACE=1", ""),
    "asan": ("-O1 -g -UNDEBUG -fsanitize=address,undefined -fno-sanitize-recover=all", "-fsanitize=address,undefined"),
}
NEEDS = """
fastfeed needs a C compiler, pkg-config and the headers of libjpeg-turbo, but {problem}
    Debian          apt-get install gcc pkg-config libjpeg62-turbo-dev
    Ubuntu          apt-get install gcc pkg-config libjpeg-turbo8-dev      (libjpeg-dev stands for it on both)
    Fedora, RHEL    dnf install gcc pkgconf-pkg-config libjpeg-turbo-devel
    Homebrew        brew install pkgconf jpeg-turbo
    conda           conda install -c conda-forge c-compiler pkg-config libjpeg-turbo
Headers that lie elsewhere are found with PKG_CONFIG_PATH=<the folder of libjpeg.pc>.
"""


def run(*command: str, stdin: str = "") -> str:
    """Return what the command prints; a failure ends the build, and says what to install."""
    try:
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
        raise SystemExit(NEEDS.format(problem=f"`{shlex.join(command)}` fails: {reason}")) from None


variant = os.environ.get("FASTFEED_BUILD", "")
if variant not in VARIANTS:
    raise SystemExit(f"FASTFEED_BUILD={variant} is no variant: leave it unset, or choose from {sorted(VARIANTS)[1:]}")
compile_flags, link_flags = map(shlex.split, VARIANTS[variant])

pkg_config = os.environ.get("PKG_CONFIG", "pkg-config")
jpeg_flags, jpeg_libs = (shlex.split(run(pkg_config, flag, "libjpeg")) for flag in ("--cflags", "--libs"))
compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC"))
header = "#include <stdio.h>\n#include <jpeglib.h>\nLIBJPEG_TURBO_VERSION\n"  # a macro that only libjpeg-turbo has
if "LIBJPEG_TURBO_VERSION" in run(*compiler, *jpeg_flags, "-E", "-xc", "-", stdin=header):
    raise SystemExit(NEEDS.format(problem="the jpeglib.h found here belongs to another libjpeg."))

native = Extension(
    "fastfeed._native",
    ["fastfeed/_native.pyx", *sorted(glob("csrc/*/*.c"))],
    include_dirs=["csrc"],
    depends=glob("csrc/*/*.h"),
    # Nothing is contracted into fused multiply-adds: every SIMD variant must round alike.
    extra_compile_args=[
        *("-std=c11", "-ffp-contract=off", "-fvisibility=hidden", "-fstack-protector-strong"),
        *compile_flags,
        *jpeg_flags,
    ],
    extra_link_args=[*link_flags, *jpeg_libs],
)
debug = variant == "debug"
# These directives stand here and not in the .pyx, because there they would win over those of the debug build.
directives = {"language_level": 3, "boundscheck": debug, "linetrace": debug, "wraparound": False, "cdivision": True}
build_dir = f"build/cython-{variant or 'release'}"
setup(ext_modules=cythonize([native], build_dir=build_dir, compiler_directives=directives, quiet=True))
