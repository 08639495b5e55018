"""What is taken for the cause of a degradation, and what a return would cost, in each combination."""

from __future__ import annotations

from itertools import product as every
from typing import Any

import pytest

from sluicegate.api.baseline import BaselineSource
from sluicegate.api.engine import SloRecord
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.slo_status import SloState
from sluicegate.api.versions import PastVersion, VersionSource
from sluicegate.policy.diagnosis.checks import DiagnosisResult
from sluicegate.policy.diagnosis.disturbances import began_anew, disturbed
from sluicegate.policy.diagnosis.previous_version import harm_of, objection
from sluicegate.policy.diagnosis.traffic_load import load_of
from sluicegate.policy.model.observed import Facts
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.stats.counts import Count
from tests.support.decisions.changes import changes, plain
from tests.support.decisions.combinations import by_outcome
from tests.support.decisions.judged import (
    BLOCK,
    START,
    V2,
    baseline,
    judged_by,
    observed,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

pytestmark = pytest.mark.slow

LAST = START // BLOCK
EASY = {**AVAILABILITY, "objective": "0.9"}
DROP = {"name": "clicks", "indicator": {"counters": {"good": "a", "total": "b"}}, "maxDrop": "0.05"}
BASKET = {"name": "basket", "indicator": {"gauge": {"metric": "basket"}}, "maxDrop": "4"}


def past(**fields) -> PastVersion:
    return PastVersion.of(
        V2, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=0, end_time=START, **fields
    )


def test_whether_the_version_before_is_a_remedy(golden):
    terms = judged_by(ACCURACY, EASY, DROP)
    accuracy, availability, clicks = terms.slos
    outcomes = {}
    for then, present, probation, other, worse, degraded, seen in every(
        (None, (50, 1000), (190, 1000), (900, 1000)),
        ((1, 4), (40, 200), (150, 200)),
        (False, True),
        (availability, clicks),
        (None, (20, 1000), (400, 1000)),
        (False, True),
        ((0, 2), (10, 1000)),
    ):
        record = {
            name: Count(*one) for name, one in (("accuracy", then), (other.name, worse)) if one
        }
        before = past(record=record, degraded=(other.name,) if degraded else ())
        result = SloResult(accuracy, SloState.MISSED, Reason.BASELINE_DROPPED, probation=probation,
                           baseline=baseline(accuracy, 100, 1000, phi=1.5) if probation else None)  # fmt: skip
        others = (
            result,
            SloResult(other, SloState.MET, Reason.WITHIN_OBJECTIVE, recent=Count(*seen)),
        )
        status = serving(
            stable=stable(clicks=baseline(clicks, 100, 1000)) if degraded else stable()
        )
        harm = harm_of(result, series(*[present] * 30, first=LAST - 29), now=LAST)
        words = [then, present, probation, other.name, worse, degraded, seen]
        said = objection(status, before, harm, others)
        outcomes[tuple(map(str, words))] = (
            f"{harm.ratio} of {plain(harm.limit)}: {said or 'a remedy'}"
        )
    inputs = (
        "bad of accuracy then",
        "now",
        "probation",
        "another",
        "its bad then",
        "degraded then",
        "now",
    )
    golden("causes/returns.txt", by_outcome(outcomes, *inputs))


def test_a_service_level_that_is_ignored_keeps_no_version_from_its_return():
    for wish, remedy in (("Alert", False), ("Ignore", True)):
        accuracy, other = judged_by(ACCURACY, {**EASY, "onDegraded": wish}).slos
        result = SloResult(accuracy, SloState.MISSED, Reason.OBJECTIVE_MISSED)
        others = (result, SloResult(other, SloState.MET, Reason.WITHIN_OBJECTIVE))
        before = past(record={"accuracy": Count(50, 1000), "availability": Count(900, 1000)})
        harm = harm_of(result, series(*[(40, 200)] * 30, first=LAST - 29), now=LAST)
        assert (objection(serving(), before, harm, others) == "") is remedy


def test_what_a_cause_outside_the_model_begins_and_ends(golden):
    terms = judged_by(ACCURACY, BASKET)
    outcomes = {}
    for slo, cause, upstream, since, began, (state, degraded), rate in every(
        terms.slos,
        (None, Reason.PODS_UNHEALTHY, Reason.MODEL_DECAY),
        (False, True),
        (None, START - 5000),
        (None, START - 3000, 3000),
        ((SloState.MET, False), (SloState.MISSED, False), (SloState.UNKNOWN, False), (SloState.MET, True)),
        (0.05, 0.4),
    ):  # fmt: skip
        known = SloRecord(
            disturbance_start_time=began, degraded=degraded, terms_hash=slo.hash, since=5
        )
        status = serving(slos={slo.name: known})
        result = SloResult(slo, state, Reason.UNKNOWN, baseline=baseline(slo, 100, 1000))
        counts = series(*[(round(100 * rate), 100)] * 40, first=LAST - 39)
        read = observed(
            block=LAST,
            series={"v1": {"accuracy": counts}},
            facts=Facts(upstream_degraded=("pricing",) if upstream else (), upstream_since=since),
        )
        found = [] if cause is None else [DiagnosisResult(slo.name, cause, "", ())]
        after = disturbed(terms, status, read, (result,), diagnoses=found)
        said = "; ".join(changes(status, after))
        words = [slo.name, cause, upstream, since, began, state.name, degraded, rate]
        outcomes[tuple(map(str, words))] = f"{began_anew(status, after)} {said or 'nothing'}"
    inputs = ("service level", "cause", "upstream", "since", "began", "state", "degraded", "rate")
    golden("causes/disturbances.txt", by_outcome(outcomes, *inputs))


def test_the_load_of_a_pod(golden):
    (slo,) = judged_by(EASY).slos
    hours = 20
    totals: dict[str, list[int]] = {
        "steady": [100] * 12 * hours,
        "a surge": [100] * (12 * hours - 3) + [500] * 3,
        "a surge for an hour": [100] * 12 * (hours - 1) + [500] * 12,
        "by day": [10 + 10 * (index // 12 % 12) for index in range(12 * hours)],
        "young": [0] * (12 * hours - 18) + [100] * 18,
        "too young": [0] * (12 * hours - 17) + [100] * 17,
        "rare": ([1] + [0] * 11) * hours,
        "nothing": [0] * 12 * hours,
    }
    known: dict[str, Any] = {
        "start": 12 * BLOCK,
        "end": 36 * BLOCK,
        "source": BaselineSource.PRODUCTION,
    }
    accepted = {
        "nothing": None,
        "a hold-out": baseline(slo, 10, 1000),
        "production": baseline(slo, 10, 4800).replace(**known),
        "production of pods": baseline(slo, 10, 4800).replace(**known, pods=2.0),
        "none in production": baseline(slo, 0, 0).replace(**known),
    }
    outcomes = {}
    for name, base, pods, counted, bad, since in every(
        totals, accepted, (1.0, 0.5, 0.0), (None, "2", "some", "none"), (0, 0.5), (0, 100)
    ):
        if (pods == 0.0 or since) and counted:
            continue
        counts = [
            (round(total * bad) if index < 60 else 0, total)
            for index, total in enumerate(totals[name])
        ]
        there = None
        if counted is not None:
            numbers = (
                [0] * 12 * hours
                if counted == "none"
                else [2 if counted == "2" or index % 24 > 5 else 0 for index in range(12 * hours)]
            )
            there = series(*[(0, number * BLOCK) for number in numbers])
        found = load_of(
            slo, series(*counts), accepted[base], now=12 * hours, since=since, block_seconds=BLOCK, pods=pods,
            pod_seconds=there,
        )  # fmt: skip
        words = (name, base, pods, counted, bad, since)
        outcomes[tuple(map(str, words))] = str(found and plain([found, found.ratio]))
    inputs = ("requests", "accepted with", "pods", "counted", "bad", "stable since")
    golden("causes/loads.txt", by_outcome(outcomes, *inputs))
