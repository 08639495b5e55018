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
"""Python of the runtime image: that of Debian bookworm."""
MARKERS: Final = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.2",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
"""The image's platform for markers of requirements, independent of this machine."""


def packages_of(text: str) -> Mapping[str, str]:
    """Return versions by name in a file of `name==version` lines, such as that of `pip freeze`."""
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one in parse_requirements(text, MARKERS)
        if len(one.specifier) == 1
    }
