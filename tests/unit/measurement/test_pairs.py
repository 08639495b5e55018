"""Pairs of outcomes: from the rows of Prometheus to the canary's blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.api.slos import Indicator
from sluicegate.measurement.canary_blocks import Arm, Arms
from sluicegate.prometheus.block_assembly import Answers, assemble_blocks, assemble_scraped
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.query_batch import needs_of
from sluicegate.prometheus.result_table import Table, TableReader
from sluicegate.prometheus.targets import ProductKey, Readings, Target
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import QueryKind, render_queries
from sluicegate.stats.paired import Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluicegate.prometheus.http_session import Row

PRODUCT = ProductKey("catalog", "search")
STABLE, CANDIDATE = "v1/aaa", "v2/bbb"
BLOCK = 60
OTHER_VERSIONS = [("v0/eee", CANDIDATE), (CANDIDATE, STABLE), (STABLE, "v3/ccc")]


def target(*, paired: bool = True) -> Target:
    slos = {"accuracy": Indicator(outcomes={})}
    return Target(key=PRODUCT, versions=(STABLE, CANDIDATE), slos=slos, paired=paired)


def rows(answered: str, shadow: str, **counts: int) -> Iterator[Row]:
    """Yield Prometheus' rows of pairs such as `correct_wrong`: stable's outcome, then the candidate's."""
    (version, revision), (other, other_revision) = answered.split("/"), shadow.split("/")
    labels = {
        "namespace": "catalog", "product": "search", "prediction_version": version,
        "prediction_revision": revision, "shadow_version": other, "shadow_revision": other_revision,
    }  # fmt: skip
    for pair, count in counts.items():
        outcome, said = pair.split("_")
        outcomes = {"outcome": outcome, "shadow_outcome": said}
        yield {"metric": labels | outcomes, "values": [[10 * BLOCK, str(count)]]}


def pairs_of(*answer: Row, asked: Target) -> Pairs | None:
    """Return the pairs of the one block that is read."""
    reader = TableReader(QueryKind.PAIRED, step=BLOCK)
    for row in answer:
        reader.take(row)
    targets: Table = {
        (*PRODUCT, version, fact): {10: 4.0}
        for version in asked.versions
        for fact in ("up", "scrapes", "longest")
    }
    answers = Answers(
        range(10, 11), BLOCK, 15.0, {QueryKind.PAIRED: reader.result(), QueryKind.TARGETS: targets}
    )
    cache = CanaryBlocks()
    cache.record(
        Readings(
            block_seconds=BLOCK,
            canary=True,
            first=10,
            last=10,
            blocks=dict(assemble_blocks(answers, [asked])),
            scraped=dict(assemble_scraped(answers, [asked])),
        )
    )
    arms = Arms(
        cache, PRODUCT, Arm(STABLE, ""), Arm(CANDIDATE, ""), ("accuracy",), (), "", BLOCK, begins=5
    )
    (block,) = arms.blocks()
    return block.pairs


def test_pairs_of_stable_answers_and_mirrored_candidate_answers_are_counted():
    answer = rows(
        STABLE, CANDIDATE, correct_correct=8, wrong_correct=4, correct_wrong=2, wrong_wrong=1
    )
    beside = [row for pair in OTHER_VERSIONS for row in rows(*pair, correct_correct=100)]
    found = pairs_of(*answer, *beside, asked=target())
    assert found == Pairs(both_right=8, only_stable_wrong=4, only_candidate_wrong=2, both_wrong=1)


def test_a_canary_without_counted_pairs_has_no_pairs():
    assert pairs_of(asked=target()) is None
    assert pairs_of(*rows(STABLE, "v3/ccc", correct_correct=5), asked=target()) is None


def test_pairs_are_queried_only_for_canaries_with_mirrored_requests():
    def kinds(asked: Target, *, canary: bool) -> set[QueryKind]:
        queries = render_queries(Scope(), BLOCK, needs_of([asked]), canary=canary)
        return {query.kind for query in queries}

    assert QueryKind.PAIRED in kinds(target(), canary=True)
    assert QueryKind.PAIRED not in kinds(target(), canary=False)
    assert QueryKind.PAIRED not in kinds(target(paired=False), canary=True)
