"""An error about a field has the value and the way out as a sentence, never a regular expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.crd import DEFINITIONS, build_crd
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.patterns import described, sentence_of
from sluicegate.api.product import DataProduct
from tests.support.samples.product_examples import changed

if TYPE_CHECKING:
    from collections.abc import Iterator

QUANTITY = "must be a quantity of Kubernetes: write e.g. 500m or 2 for cpu, 512Mi for memory"
SHARE = 'must be a share from 0 to 1 as a decimal number: write 99.9 % as "0.999"'
LEVELS = "must be Draft, Development, Production, Deprecated or Retired: write one of them"
LIST = "must be a list: write [a, b], or one item a line with - before it"
STEPS = "steps must increase from one to the next, e.g. [5, 25, 50]; 100 follows by itself"
MISTAKES = [
    ("spec.slos.0.objective", 0.999, "spec.slos[0].objective", 'is 0.999, but must be text: write it in quotes, "0.999"'),
    ("spec.slos.0.objective", "99.9", "spec.slos[0].objective", f'is "99.9", but {SHARE}'),
    ("spec.serving.resources.requests", {"cpu": "half"}, "spec.serving.resources.requests.cpu", f'is "half", but {QUANTITY}'),
    ("spec.rollout.steps", [5, 100], "spec.rollout.steps[1]", "is 100, but all of the traffic is no step: leave 100 out, it follows by itself"),
    ("spec.rollout.steps", [25, 5], "spec.rollout.steps", f"is [25, 5], but {STEPS}"),
    ("spec.rollout.steps", [], "spec.rollout.steps", "is an empty list, but must have at least 1 item: add some"),
    ("spec.rollout.steps", 5, "spec.rollout.steps", f"is 5, but {LIST}"),
    ("spec.rollout.historyLimit", 21, "spec.rollout.historyLimit", "is 21, but must be at most 20: lower it"),
    ("spec.serving.replicas", "2", "spec.serving.replicas", 'is "2", but must be a whole number: write it without quotes, 2'),
    ("spec.analysis.blockSeconds", "5m", "spec.analysis.blockSeconds", 'is "5m", but must be a whole number: write it without quotes, fraction and unit'),
    ("spec.analysis.blockSeconds", 4, "spec.analysis.blockSeconds", "is 4, but must be at least 5: raise it"),
    ("spec.suspend", "yes", "spec.suspend", 'is "yes", but must be true or false, without quotes: write one of them'),
    ("spec.lifecycle", "production", "spec.lifecycle", f'is "production", but {LEVELS}'),
    ("spec.markets", [False], "spec.markets[0]", "is false, but must be text: write it in quotes, as YAML reads no, off and yes as true or false"),
    ("spec.slos.0.indicator", "availability", "spec.slos[0].indicator", 'is "availability", but must be an object: write its fields'),
    ("spec.slos", {"name": "a"}, "spec.slos", f"is an object, but {LIST}"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "path", "sentence"), MISTAKES)
def test_an_error_names_the_field_the_value_and_the_way_out(field, value, path, sentence):
    with pytest.raises(InvalidProduct) as refused:
        DataProduct.parse(changed({field: value}))
    assert [str(problem) for problem in refused.value.problems] == [f"{path}: {sentence}"]


def test_each_pattern_of_a_spec_has_a_sentence_with_a_way_out():
    sentences = {}
    for definition in DEFINITIONS:
        (version,) = build_crd(definition)["spec"]["versions"]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        sentences |= {pattern: sentence_of(pattern) for pattern in patterns(spec)}
    assert len(sentences) > 40
    assert {pattern for pattern, text in sentences.items() if not text or ": " not in text} == set()


def test_each_text_with_a_pattern_has_its_sentence_as_a_rule_of_the_api_server():
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    path = spec["properties"]["route"]["properties"]["path"]
    (rule,) = path["x-kubernetes-validations"]
    assert rule["message"] == sentence_of(path["pattern"])


def test_a_pattern_has_one_sentence():
    with pytest.raises(ValueError, match="two sentences"):
        described(r"^[A-Z]{2}$", "must be another thing: write it")


def patterns(schema: Any) -> Iterator[str]:
    """The regular expressions of a schema, except those of keys."""
    if "pattern" in schema:
        yield schema["pattern"]
    for child in schema.get("properties", {}).values():
        yield from patterns(child)
    for inside in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inside, dict):
            yield from patterns(inside)
