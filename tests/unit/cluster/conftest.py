"""A PATH that holds only the programs that a test installs."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return PATH is this folder alone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("cluster.commands.SYSTEM_PATH", "")
    monkeypatch.setenv("SLUICEGATE_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def install(path: Path) -> Callable[[str, str], str]:
    """Write a program of this shell script to PATH; where it is."""

    def write(name: str, script: str) -> str:
        program = path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return write
