"""The events of a record by which versions come, as far as status knows them."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import AttemptResult, RetrainingStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import PastVersion, Release, VersionBase, VersionSource
from sluicegate.simulation.recording import arrival_event
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs

AT = 6000
OWN, PARENTS = {"accuracy": Count(10, 100)}, {"accuracy": Count(40, 100)}
REPORTED = {
    "evaluation": {"accuracy": {"bad": 10, "total": 100}},
    "stableEvaluation": {"accuracy": {"bad": 40, "total": 100}},
}
EMPTY = DataProductStatus()


def past(source: VersionSource, **fields: Any) -> PastVersion:
    return PastVersion.of(
        Release("v2", "r.example/m@sha256:" + "b" * 64),
        source,
        outcome=Outcome.REPLACED,
        end_time=AT,
        **fields,
    )


def came(version: VersionBase | None, status: DataProductStatus = EMPTY) -> tuple[Any, str]:
    """How v2 came, and what is said to be missing."""
    event, missing = arrival_event("v2", version, AT, status)
    assert event.pop("at") == AT
    return event, missing


def test_a_record_has_the_training_result_of_the_recorded_version_despite_later_trainings():
    retrained = past(VersionSource.RETRAINING, evaluation=OWN, stable_evaluation=PARENTS)
    assert came(retrained) == ({"retrained": {"version": "v2", **REPORTED}}, "")


def test_a_record_has_the_hold_out_pairs_of_a_version():
    retrained = past(
        VersionSource.RETRAINING,
        evaluation=OWN,
        stable_evaluation=PARENTS,
        pairs={"accuracy": Pairs(55, 35, 5, 5)},
    )
    event, _ = came(retrained)
    rows = {"bothRight": 55, "onlyStableWrong": 35, "onlyCandidateWrong": 5, "bothWrong": 5}
    assert event["retrained"]["pairs"] == {"accuracy": rows}


def test_a_record_has_the_evaluation_of_a_spec_version():
    event, missing = came(past(VersionSource.SPEC, evaluation=OWN))
    own = {"version": "v2", "evaluation": REPORTED["evaluation"]}
    assert (event, missing) == ({"modelChanged": own}, "")


def test_a_record_has_the_baseline_hold_out_counts_of_a_version_of_an_earlier_release():
    bases = {
        "accuracy": Baseline.of(OWN["accuracy"], AT, AT, BaselineSource.EVALUATION),
        "latency": Baseline.of(Count(1, 50), AT, AT, BaselineSource.PRODUCTION),
    }
    event, missing = came(past(VersionSource.RETRAINING, baseline=bases))
    own = {"version": "v2", "evaluation": REPORTED["evaluation"]}
    assert event == {"modelChanged": own}
    assert "hold-out counts" in missing


def test_the_newest_training_in_a_status_of_an_earlier_release_is_identified_by_its_result():
    last = AttemptResult(
        outcome=Outcome.PROMOTED,
        version="v2",
        evaluation=OWN,
        stable_evaluation=PARENTS,
        completion_time=AT,
    )
    status = DataProductStatus(retraining=RetrainingStatus(last_result=last))
    retrained = past(VersionSource.RETRAINING, evaluation=OWN)
    assert came(retrained, status) == ({"retrained": {"version": "v2", **REPORTED}}, "")


@pytest.mark.parametrize(
    ("version", "known", "missing"),
    [
        (None, {}, "v2 is no longer in status: it comes as a change of spec.model."),
        (
            past(VersionSource.RETRAINING, evaluation=OWN),
            {"evaluation": REPORTED["evaluation"]},
            (
                "v2 came from a training whose hold-out counts are no longer in status: it comes as a"
                " change of spec.model."
            ),
        ),
    ],
)
def test_a_record_notes_the_version_fields_that_status_no_longer_has(version, known, missing):
    assert came(version) == ({"modelChanged": {"version": "v2", **known}}, missing)
