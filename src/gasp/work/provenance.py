"""Where a result comes from: versions of what made it, and the machine."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from gasp._version import __version__

_LIBRARIES = ("torch", "numpy", "av", "opencv-python-headless", "scipy", "safetensors", "soxr", "pydantic")


def versions() -> dict[str, str | None]:
    """Versions of gasp, Python and the libraries that results depend on."""
    return {
        "gasp": __version__,
        "python": platform.python_version(),
        **{name: version_of(name) for name in _LIBRARIES},
    }


def describe_platform() -> dict[str, str]:
    """The machine, without anything that names it."""
    return {"system": platform.platform(), "machine": platform.machine(), "byte_order": sys.byteorder}


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution, None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
