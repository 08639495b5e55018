"""`kubectl explain dataproduct --recursive` reads as sentences, and names keep to the conventions."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.crd import DEFINITIONS, build_crd

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_WORDS = 4
HEADLESS = ("What", "Why", "When", "Which", "Who", "Whose", "How", "Where", "Its")
HTTP_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
PARTS = pytest.mark.parametrize(
    ("kind", "part"), [(of.kind, part) for of in DEFINITIONS for part in ("spec", "status")]
)


def test_no_category_has_the_name_of_a_kind():
    """`kubectl get dataproducts` listed reviews, too: kubectl expands a category before a kind."""
    names = [build_crd(of)["spec"]["names"] for of in DEFINITIONS]
    categories = {category for each in names for category in each["categories"]}
    kinds = {
        name for each in names for name in (each["plural"], each["singular"], *each["shortNames"])
    }
    assert categories
    assert not categories & kinds


def fields(schema: dict, path: str) -> Iterator[tuple[str, dict]]:
    """Each named field below, with its schema."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(child, f"{path}.{name}")
    for inside in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inside, dict):
            yield from fields(inside, f"{path}[]")


@cache
def fields_of(kind: str, part: str) -> list[tuple[str, dict]]:
    (of,) = (each for each in DEFINITIONS if each.kind == kind)
    schema = build_crd(of)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return [*fields(schema["properties"][part], part)]


@PARTS
def test_each_crd_field_has_a_description_of_one_sentence(kind, part):
    found = [
        (path, field.get("description", ""))
        for path, field in fields_of(kind, part)
        if not path.startswith("spec.retraining.podTemplate.")
    ]
    assert len(found) > 10
    poor = [
        (path, text)
        for path, text in found
        if len(text.split()) < MIN_WORDS
        or text.startswith(tuple(f"{word} " for word in HEADLESS))
        or not text.endswith((".", "…"))
    ]
    assert poor == []


@PARTS
def test_each_timestamp_field_of_the_crd_ends_in_time(kind, part):
    moments = [path for path, field in fields_of(kind, part) if field.get("format") == "date-time"]
    assert [path for path in moments if not path.endswith("Time")] == []


@PARTS
def test_each_enum_value_of_the_crd_is_in_camel_case(kind, part):
    values = {value for _, field in fields_of(kind, part) for value in field.get("enum", ())}
    words = {value for value in values if re.fullmatch(r"([A-Z][a-z]+)+|URL[A-Z][a-z]+", value)}
    assert values - words - HTTP_METHODS == set()


def test_the_availability_field_describes_requests_that_reach_no_pod():
    """Pods count requests: one that reaches no pod is seen where the gateway counts it alone."""
    spec = build_crd(DEFINITIONS[0])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    slo = spec["properties"]["spec"]["properties"]["slos"]["items"]["properties"]
    said = slo["indicator"]["properties"]["availability"]["description"]
    assert "no pod" in said
    assert "SLUICEGATE_GATEWAY_METRICS" in said
