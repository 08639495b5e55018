"""How each test here compares its text with its golden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


@pytest.fixture
def golden(
    golden: Callable[[Path, str], None], request: pytest.FixtureRequest
) -> Callable[[str | Path, str | Iterable[str]], None]:
    """Compare a text, or lines, with a file, its path relative to this folder; or write the file."""

    def check(path: str | Path, text: str | Iterable[str]) -> None:
        whole = text if isinstance(text, str) else "".join(f"{line}\n" for line in text)
        golden(request.path.parent / path, whole)

    return check
