"""Packages of the project's own runtime image, with which a bento must be compatible.

`runtime_constraints.txt` beside this module is generated from the lock file (`make constraints`),
so that a bento can be checked and built without the image.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from sluicegate_service.requirements import parse_requirements

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).with_name("runtime_constraints.txt")
PYTHON: Final = "3.11"
"""Python of the default runtime image: that of Debian bookworm."""
PYTHONS: Final = (PYTHON, "3.12", "3.13")
"""Pythons that there is a runtime image of."""


def python_of(version: str | None) -> str:
    """Return the Python of the runtime image for a bento's version, such as `3.13` or `3.13.5`.

    Without a version, or for one that no runtime image has, it is the default.
    """
    minor = ".".join((version or PYTHON).split(".")[:2])
    return minor if minor in PYTHONS else PYTHON


def markers(python: str = PYTHON) -> Mapping[str, str]:
    """Return an image's platform for markers of requirements, independent of this machine."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.2",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def packages_of(text: str, python: str = PYTHON) -> Mapping[str, str]:
    """Return versions by name in a file of `name==version` lines, such as that of `pip freeze`."""
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one in parse_requirements(text, markers(python))
        if len(one.specifier) == 1
    }
