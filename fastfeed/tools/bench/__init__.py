"""What `fastfeed bench` is made of: photographs, sides to compare, their timing, and the report."""

import os
from pathlib import Path

import fastfeed


def environment() -> dict[str, str]:
    """The environment in which any interpreter finds this package, from wherever the driver was started.

    The folder is the package's parent: in the package itself lie modules that are named like the frameworks they serve.
    """
    home = str(Path(fastfeed.__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}
