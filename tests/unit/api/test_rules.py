"""The types accept and refuse what the table says, and name the field and the way out."""

from __future__ import annotations

import pytest

from sluicegate.api.base import ApiModel
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.api.schema import structural_schema
from sluicegate.api.status import DataProductStatus
from tests.support.samples.product_cases import CASES
from tests.support.samples.product_examples import changed, example, full_status
from tests.support.samples.product_rules import RULES, Case


def problems(document: dict) -> tuple:
    with pytest.raises(InvalidProduct) as refused:
        DataProduct.parse(document)
    return refused.value.problems


def test_the_full_example_is_a_valid_product():
    product = DataProduct.parse(example())
    assert product.metadata.key == ("catalog", "search-ranking")
    assert [slo.indicator.kind for slo in product.spec.slos] == [
        "availability", "latency", "outcomes", "events", "counters", "gauge",
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_valid_spec_is_accepted(case: Case):
    assert DataProduct.parse(changed(case.accepted))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_invalid_spec_is_refused_with_its_path_and_the_way_out(case: Case):
    found = problems(changed(case.refused))
    assert [
        problem
        for problem in found
        if problem.path.startswith(case.at) and case.says in problem.message
    ], found
    for other in case.other:
        assert problems(changed(other))


def test_the_table_of_cel_rules_has_each_declared_rule():
    # Those of a review's own are reported by the API server itself: tests/apiserver/test_reviews.py.
    kinds = [kind for kind in _models(ApiModel) if kind.__module__ != DataProductReview.__module__]
    declared = {rule.message for kind in kinds for rule in kind.cel_rules}
    messages = [problem.message for case in RULES for problem in problems(changed(case.refused))]
    of_names = {message for message in declared if message.startswith("metadata.name")}
    unmet = {
        rule for rule in declared - of_names if not any(text.endswith(rule) for text in messages)
    }
    assert unmet == set()


def test_all_mistakes_of_a_spec_are_reported_at_once():
    found = problems(
        changed({"spec.owner": 7, "spec.rollout.steps": [9, 8], "spec.slos.0.objective": "1.5"})
    )
    assert {problem.path for problem in found} == {
        "spec.owner", "spec.rollout.steps", "spec.slos[0].objective",
    }  # fmt: skip


def test_an_unknown_field_is_reported_by_its_path():
    (found,) = problems(changed({"spec.rollout.stepz": [5]}))
    assert str(found) == "spec.rollout.stepz: is not a field: correct its name or remove it"


def test_a_field_name_in_snake_case_is_refused():
    (found,) = problems(changed({"spec.display_name": "a"}))
    assert found.path == "spec.display_name"


def test_an_unreadable_status_counts_as_lost():
    product = DataProduct.parse(example() | {"status": {"stable": {"version": 3}}})
    assert product.status.stable is None
    assert product.status.observed_generation == -1


def test_a_status_round_trips_unchanged():
    product = DataProduct.parse(example() | {"status": full_status()})
    assert product.status.to_dict() == full_status()


def test_the_full_status_example_has_every_field():
    told = full_status()
    for place in (told["stable"], told["history"][0]):
        place["baseline"]["accuracy"] |= place["baseline"]["revenue"]
    engine, full = told["engine"], told["stable"]["baseline"]
    engine["originalBaseline"]["slos"] = engine["probationBaselines"] = engine[
        "candidateBaselines"
    ] = full
    assert list(_missing(structural_schema(DataProductStatus), told, "status")) == []


def _missing(schema: dict, value: object, path: str):
    """Fields of the schema that the value doesn't have; lists and maps are judged by one item."""
    if isinstance(value, list) and value:
        yield from _missing(schema.get("items", {}), value[0], f"{path}[]")
    if not isinstance(value, dict):
        return
    for name, child in schema.get("properties", {}).items():
        if name not in value:
            yield f"{path}.{name}"
        else:
            yield from _missing(child, value[name], f"{path}.{name}")
    if "additionalProperties" in schema and value:
        yield from _missing(schema["additionalProperties"], next(iter(value.values())), f"{path}.*")


def _models(kind: type[ApiModel]):
    for child in kind.__subclasses__():
        yield child
        yield from _models(child)
