"""Each reason that the API lists can occur: some code gives it, rather than only compares with it."""

import ast
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

import sluicegate
from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason, DecisionReason
from sluicegate.api.versions import CandidatePhase

SOURCES = sorted(Path(sluicegate.__file__).parent.rglob("*.py"))
KINDS = {kind.__name__: kind for kind in (ConditionReason, DecisionReason, EventReason)}
READ = (ast.Compare, ast.Set, ast.MatchValue)


def given() -> set[StrEnum]:
    """All reasons that occur in the code other than in a comparison, a set or a key."""
    return {reason for path in SOURCES for reason in _given(ast.parse(path.read_text()))}


def _given(tree: ast.Module) -> Iterator[StrEnum]:
    imported = {
        alias.asname or alias.name: KINDS[alias.name]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in KINDS
    }
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        kind = imported.get(node.value.id)
        if kind and node.attr in kind.__members__ and not _is_read(node, parents):
            yield kind[node.attr]


def _is_read(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    while not isinstance(node, ast.stmt | ast.Call):
        above = parents[node]
        if isinstance(above, READ) or (isinstance(above, ast.Dict) and node in above.keys):
            return True
        node = above
    return False


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_reason_of_the_api_is_produced_by_code(kind):
    phases = {ConditionReason(one) for one in CandidatePhase if one is not CandidatePhase.PARKED}
    assert set(kind) - given() - phases == set()


def test_a_reason_that_is_only_compared_counts_as_unused():
    text = (
        "from sluicegate.api.names import DecisionReason as Reason\n"
        "lost = frozenset({Reason.STALE})\n"
        "words = {Reason.NO_DATA: Reason.HEALTHY}\n"
        "if reason is Reason.RECOVERED: give(Reason.UNKNOWN)\n"
    )
    assert set(_given(ast.parse(text))) == {DecisionReason.HEALTHY, DecisionReason.UNKNOWN}
