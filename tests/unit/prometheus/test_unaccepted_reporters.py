"""What the pods of a candidate count for the predictions of other versions."""

from __future__ import annotations

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_assembly import MAX_STRAY_LABELS, Answers, assemble_blocks
from sluicegate.prometheus.result_table import TableReader
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target, VersionKey
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.queries import QueryKind
from sluicegate.stats.counts import Count

PRODUCT = ProductKey("catalog", "search")
STABLE, CANDIDATE = "v1/a", "v2/b"
INDEX, BLOCK_SECONDS = 1000, 300
SLOS = {"accuracy": Indicator(outcomes={}), "conversion": Indicator(events={})}
Row = tuple[str, str, str, float]
"""Version whose pods count, version that made the predictions, outcome, and their number."""
HONEST: list[Row] = [
    (STABLE, STABLE, "correct", 130),
    (STABLE, STABLE, "wrong", 20),
    (STABLE, CANDIDATE, "correct", 140),
    (CANDIDATE, CANDIDATE, "correct", 10),
]


def blocks_of(rows: list[Row], unaccepted: tuple[str, ...]) -> dict[str, Block]:
    """The accuracy's block of each version."""
    target = Target(key=PRODUCT, versions=(STABLE, CANDIDATE), slos=SLOS, unaccepted=unaccepted)
    versions = frozenset(VersionKey(*PRODUCT, version) for version in unaccepted)
    reader = TableReader(QueryKind.LABELLED, step=BLOCK_SECONDS, unaccepted=versions)
    for reporter, maker, outcome, count in rows:
        version, revision = reporter.split("/")
        prediction_version, prediction_revision = maker.split("/")
        metric = {
            "namespace": PRODUCT.namespace,
            "product": PRODUCT.product,
            "version": version,
            "revision": revision,
            "prediction_version": prediction_version,
            "prediction_revision": prediction_revision,
            "outcome": outcome,
        }
        reader.take({"metric": metric, "values": [[INDEX * BLOCK_SECONDS, str(count)]]})
    scrapes = {
        (*PRODUCT, version, fact): {INDEX: 10.0}
        for version in target.versions
        for fact in ("scrapes", "up", "longest")
    }
    tables = {QueryKind.LABELLED: reader.result(), QueryKind.TARGETS: scrapes}
    answers = Answers(range(INDEX, INDEX + 1), BLOCK_SECONDS, 30.0, tables)
    blocks = dict(assemble_blocks(answers, [target]))
    return {
        version: blocks[SeriesKey(*PRODUCT, version, "accuracy")][0] for version in target.versions
    }


def counted(bad: int, total: int) -> Block:
    return Block(INDEX, Quality.COUNTED, Count(bad, total))


def test_a_candidate_cannot_count_outcomes_for_stable():
    forged: Row = (CANDIDATE, STABLE, "wrong", 750)
    assert blocks_of([*HONEST, forged], (CANDIDATE,))[STABLE] == counted(20, 150)


def test_any_pod_counts_outcomes_where_labels_are_split_between_the_versions():
    stray: Row = (CANDIDATE, STABLE, "wrong", 50)
    assert blocks_of([*HONEST, stray], ())[STABLE] == counted(70, 200)


@pytest.mark.parametrize(
    ("ignored", "is_contradicted"), [(0, False), (150, False), (151, True), (750, True)]
)
def test_a_candidate_that_counts_more_for_stable_than_stable_does_has_invalid_data(
    ignored, is_contradicted
):
    rows = [*HONEST, (CANDIDATE, STABLE, "correct", ignored)]
    block = blocks_of(rows, (CANDIDATE,))[CANDIDATE]
    assert block == (Block(INDEX, Quality.INVALID) if is_contradicted else counted(0, 150))


def test_labels_that_reach_the_candidate_until_the_gateway_has_its_rules_are_no_contradiction():
    rows: list[Row] = [(CANDIDATE, STABLE, "correct", MAX_STRAY_LABELS), HONEST[-1]]
    assert blocks_of(rows, (CANDIDATE,))[CANDIDATE] == counted(0, 10)
