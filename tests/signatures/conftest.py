"""cosign, built from its module, and a registry on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster.builds import program
from tests.support.processes.loopback_registry import loopback_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def cosign() -> Path:
    """The program."""
    return program("cosign")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of the registry, without TLS."""
    with loopback_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host
