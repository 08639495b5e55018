"""How a Job of the shadow phase ended: rows that count, or one sentence of why none do."""

from __future__ import annotations

import json

import pytest

from sluicegate.policy.model.observed import Failure, ShadowCounted
from sluicegate.reconcile.live.pods import TrainingExit
from sluicegate.reconcile.observe.shadow_result import shadow_result
from sluicegate.stats.paired import Pairs
from tests.support.decisions.kubelet_words import job

ROWS = {"bothRight": 90, "onlyStableWrong": 4, "onlyCandidateWrong": 3, "bothWrong": 3}
SLOS = ("accuracy", "relevance")


def told(report: object) -> ShadowCounted | Failure:
    """Return the shadow result of a succeeded Job with this termination message."""
    text = report if isinstance(report, str) else json.dumps(report)
    return shadow_result(job("Complete"), TrainingExit(text, 0), SLOS)


def test_shadow_rows_are_counted_by_slo():
    assert told({"pairs": {"accuracy": ROWS}}) == ShadowCounted({"accuracy": Pairs(90, 4, 3, 3)})
    assert told({"pairs": {}}) == ShadowCounted({}), "no label came in the interval"


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ("", "it is empty"),
        ("scored", "it is no JSON"),
        ([], "it is a JSON list, not an object"),
        ({}, "pairs: is required"),
        ({"pairs": {"accuracy": {"bothRight": 1}}}, "bothWrong, onlyCandidateWrong"),
        ({"pairs": {"accuracy": ROWS | {"bothWrong": -1}}}, "must be whole numbers from 0"),
        ({"pairs": {"accuracy": ROWS | {"bothWrong": 1.5}}}, "must be whole numbers from 0"),
        ({"pairs": {"accuracy": ROWS | {"bothRight": 10**9 + 1}}}, "more than 1,000,000,000 rows"),
        (
            {"pairs": {"acuracy": ROWS}},
            "names acuracy, and the SLOs about the answers are accuracy",
        ),
        (
            json.dumps({"pairs": {"a" * 4096: ROWS}})[:4096],
            "longer than 4,096 bytes, and cut there",
        ),
    ],
)
def test_a_malformed_shadow_result_gives_no_counts(report, why):
    found = told(report)
    assert isinstance(found, Failure)
    assert found.reason == "InvalidResult"
    assert why in found.message


@pytest.mark.parametrize(
    ("ended", "reason", "says"),
    [
        (
            TrainingExit("", 137, "OOMKilled"),
            "JobFailed",
            "memory limit in rollout.shadow.resources",
        ),
        (TrainingExit("no such table", 1), "JobFailed", "exited with 1; message: no such table"),
        (TrainingExit(), "JobFailed", "The shadow Job never ran"),
    ],
)
def test_a_failed_shadow_job_reports_its_error(ended, reason, says):
    found = shadow_result(job("Failed"), ended, SLOS)
    assert isinstance(found, Failure)
    assert found.reason == reason
    assert says in found.message


def test_a_shadow_job_beyond_its_deadline_reports_the_deadline():
    late = job("Failed", reason="DeadlineExceeded")
    found = shadow_result(late, TrainingExit(), SLOS)
    assert isinstance(found, Failure)
    assert found.reason == "TimedOut"
    assert "longer than rollout.shadow.timeoutSeconds" in found.message
