"""The inputs of decisions: put together in one place, and said in full by all who do it."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sluicegate.policy.model.inputs import canary_block
from sluicegate.policy.model.observed import CanaryBlock, Facts, Observed
from sluicegate.slo.blocks import BlockValue, Quality

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATOR = Path(__file__).resolve().parents[4] / "operator" / "sluicegate"


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of a class in the operator, each with its file."""
    for path in OPERATOR.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if f"{name}(" in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                    yield path.relative_to(OPERATOR).as_posix(), node


@pytest.mark.parametrize("kind", [Observed, CanaryBlock])
def test_the_inputs_of_a_decision_are_built_in_a_single_module(kind: type):
    assert {file for file, _ in calls(kind.__name__)} == {"policy/model/inputs.py"}


def test_the_facts_of_a_decision_are_set_completely_or_not_at_all():
    names = {field.name for field in fields(Facts)}
    stated = [(file, {keyword.arg for keyword in call.keywords}) for file, call in calls("Facts")]
    assert [file for file, said in stated if said not in (set(), names)] == []
    full = {file for file, said in stated if said}
    assert full == {"reconcile/observe/observer.py", "simulation/replay.py"}


@pytest.mark.parametrize(
    ("requests", "quality"),
    [
        (Quality.UNAVAILABLE, Quality.UNAVAILABLE),
        (Quality.LOW_COVERAGE, Quality.LOW_COVERAGE),
        (Quality.MISSING, Quality.MISSING),
        (Quality.NO_SERIES, Quality.COUNTED),
        (Quality.COUNTED, Quality.COUNTED),
    ],
)
def test_a_canary_block_before_the_rollout_has_only_the_stable_version_and_the_block_quality(
    requests, quality
):
    counts = {"accuracy": BlockValue(Quality.COUNTED)}
    block = canary_block(300, BlockValue(requests), counts, None, ages=None)
    assert (block.quality, block.stable, block.candidate) == (quality, counts, {})
