"""Versions of all parts of the cluster, read from versions.toml.

One file, so that an upgrade is one edit, and a test can hold the go.mod files, the Python lock
file and the chart against it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS_FILE = Path(__file__).with_name("versions.toml")


@dataclass(frozen=True, slots=True)
class Versions:
    """What is pinned: Go modules with their leading `v`, everything else without.

    `published` are images by tag and digest, by the names that `cluster/images` has for them.
    """

    go: str
    python: str
    debian: str
    modules: Mapping[str, str]
    packages: Mapping[str, str]
    wheels: Mapping[str, str]
    published: Mapping[str, str]
    kind_image: str
    kind_least: str

    @property
    def kubernetes(self) -> str:
        """Kubernetes' version with its leading `v`, as clients see it."""
        return self.modules["k8s.io/kubernetes"]

    @property
    def prometheus(self) -> str:
        """Prometheus' own version; its module v0.3YY.Z is release 3.YY.Z."""
        _, minor, patch = self.modules["github.com/prometheus/prometheus"].split(".")
        return f"{minor[0]}.{int(minor[1:])}.{patch}"


@cache
def versions() -> Versions:
    """Return the pinned versions."""
    read = tomllib.loads(VERSIONS_FILE.read_text())
    kind = read.pop("kind")
    return Versions(**read, kind_image=kind["image"], kind_least=kind["least"])
