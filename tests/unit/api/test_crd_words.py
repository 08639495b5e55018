"""`kubectl explain dataproduct --recursive` reads as sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.api.product import DataProductSpec
from sluicegate.api.schema import structural_schema
from sluicegate.api.status import DataProductStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_WORDS = 4


def described(schema: dict, path: str) -> Iterator[tuple[str, str]]:
    """Each named field below, with its description."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child.get("description", "")
        yield from described(child, f"{path}.{name}")
    for inside in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inside, dict):
            yield from described(inside, f"{path}[]")


@pytest.mark.parametrize("part", [DataProductSpec, DataProductStatus], ids=["spec", "status"])
def test_each_field_is_described_by_a_sentence(part):
    found = list(described(structural_schema(part), part.__name__))
    assert len(found) > 100
    short = [
        (path, text)
        for path, text in found
        if len(text.split()) < LEAST_WORDS or text.startswith("What ")
    ]
    assert short == []
