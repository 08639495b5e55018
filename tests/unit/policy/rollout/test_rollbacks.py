"""The rollback of a version on probation that has degraded a consumer."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import PastVersion, Probation, VersionSource
from sluicegate.policy.model.consumers import ConsumerReading, ConsumerTerms
from sluicegate.policy.model.observed import DegradedConsumer, Facts
from sluicegate.policy.rollout.rollbacks import consumer_rollback
from tests.support.decisions.judged import START, V1, V2, judged_by, observed, serving, stable
from tests.support.decisions.scenarios import ACCURACY

SEARCH = "catalog/search"
DEGRADED = DegradedConsumer(SEARCH, "catalog/pricing", "v1", "accuracy follows the release")
COUNTED = ConsumerReading(SEARCH, ConsumerTerms(SEARCH, (), 300, 0))


def rollback(*, on_probation=True, degraded=DEGRADED, reading=COUNTED, slos=()):
    """Return the rollback of v1, which replaced v2.

    `slos` are those that were degraded when v2 was replaced.
    """
    before = PastVersion.of(
        V2, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=0, end_time=START,
        degraded=slos,
    )  # fmt: skip
    probation = Probation(version="v1", against="v2", start_time=START) if on_probation else None
    status = serving(stable=stable(since=START), history=(before,), probation=probation)
    facts = Facts(degraded_consumers=(degraded,))
    seen = observed(facts=facts, consumer_readings=(reading,))
    return consumer_rollback(judged_by(ACCURACY), status, seen, START + 3600)


def test_a_version_on_probation_whose_release_degrades_a_counted_consumer_is_rolled_back():
    decision = rollback()
    assert (decision.leaving, decision.to, decision.reason) == (V1, V2, Reason.PROBATION_FAILED)
    assert decision.message == (
        "catalog/search is degraded by v1: accuracy follows the release; it is still on probation, so v2"
        " replaces v1. v1 was stable for 1 h"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"on_probation": False},
        {"degraded": DegradedConsumer(SEARCH, "catalog/pricing", "v0", "")},
        {"reading": ConsumerReading(SEARCH, problem="its spec is invalid")},
        {"reading": ConsumerReading("catalog/stock", COUNTED.terms)},
        {"slos": ("availability",)},
    ],
    ids=[
        "no probation",
        "another version",
        "unread",
        "not counted",
        "the version before is degraded",
    ],
)
def test_a_degraded_consumer_rolls_back_no_other_version_and_none_without_its_evidence(fields):
    assert rollback(**fields) is None
