"""Which of a module's parametrized stories are asked for, so that only these are begun together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def asked_for(request: pytest.FixtureRequest, name: str) -> list[Any]:
    """The values of a parameter in the tests of the requesting module that this run has selected."""
    items: list[Any] = [item for item in request.session.items if item.path == request.path]
    return [item.callspec.params[name] for item in items]
