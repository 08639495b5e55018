"""The log of iterations: the words of what was tried, and which versions the log has."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.api.iteration import LONGEST_HYPOTHESIS, LONGEST_NAME, Iteration
from sluicegate.api.retraining_status import HOLD_OUT_REASONS
from sluicegate.views.iterations import _HOLD_OUT_REASONS, COLUMNS, iterations, rows
from sluicegate.views.trials import tried_text

STATED = {
    "hypothesis": "Ranking by margin raises conversion", "author": "ana", "ticket": "ML-7",
    "gitRevision": "0a1b2c3",
}  # fmt: skip
ARMS = [
    {
        "name": "conversion",
        "candidate": {"bad": 900, "total": 1000},
        "stable": {"bad": 950, "total": 1000},
    }
]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (
            {"source": "Spec", "iteration": STATED},
            "Ranking by margin raises conversion (by ana, ticket ML-7, revision 0a1b2c3, pushed)",
        ),
        ({"source": "Spec"}, "pushed"),
        ({"source": "Spec", "iteration": {"ticket": "ML-7"}}, "ticket ML-7, pushed"),
        (
            {"source": "Retraining", "cause": "ModelDecay", "causeSlo": "accuracy"},
            "retrained: model decay of accuracy",
        ),
        (
            {"source": "Retraining", "cause": "Requested", "iteration": {"hypothesis": "New prices", "author": "bo"}},
            "New prices (by bo, retrained: requested)",
        ),
        ({"source": "Retraining"}, "retrained"),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_version_shows_the_description_of_its_author_or_its_origin(version, words):
    assert tried_text(version) == words


@pytest.mark.parametrize(
    ("labels", "stated"),
    [
        ({"hypothesis": "a\n  b\x1b[0m", "team": "x"}, {"hypothesis": "a b [0m"}),
        ({"git-revision": "0a1b", "ticket": 7}, {"gitRevision": "0a1b", "ticket": "7"}),
        ({"author": ["x"], "ticket": None, "hypothesis": True}, None),
        ({"team": "x"}, None),
        (
            {"hypothesis": "x" * 999, "author": "y" * 999},
            {"hypothesis": "x" * LONGEST_HYPOTHESIS, "author": "y" * LONGEST_NAME},
        ),
    ],
    ids=["one line", "numbers are texts", "other values", "other labels", "bounded"],
)
def test_each_label_of_a_bento_is_one_bounded_line(labels, stated):
    found = Iteration.of_labels(labels)
    assert (found and found.to_dict()) == stated


def body(**status: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "u"}, "status": status}


def review(uid: str, *candidates: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"productRef": {"uid": uid}}, "status": {"candidates": list(candidates)}}


def ended(version: str, at: str, outcome: str, **more: Any) -> dict[str, Any]:
    return {"version": version, "digest": f"sha256:{version}", "endTime": at, "outcome": outcome, "source": "Spec", "slos": ARMS, **more}  # fmt: skip


def test_the_iteration_log_lists_each_version_once_with_its_change_newest_first():
    verdict = {"type": "Promote", "reason": "CanaryNotWorse", "slos": ARMS}
    log = iterations(
        body(
            candidate={"version": "v4", "phase": "Stepping", "source": "Spec", "iteration": STATED},
            stable={
                "version": "v3", "image": "r@sha256:v3", "promotionTime": "2026-03-01T00:00:00Z",
                "source": "Spec", "verdict": verdict,
            },
            history=[
                {"version": "v2", "image": "r@sha256:v2", "outcome": "RolledBack", "reason": "CanaryWorse",
                 "endTime": "2026-02-01T00:00:00Z", "source": "Spec"},
            ],
        ),
        [
            review("u", ended("v1", "2026-01-01T00:00:00Z", "Promoted", reason="CanaryNotWorse"),
                   ended("v3", "2026-03-01T00:00:00Z", "Promoted", reason="CanaryNotWorse")),
            review("another", ended("v0", "2025-01-01T00:00:00Z", "Promoted")),
        ],
    )  # fmt: skip

    assert [entry["version"] for entry in log] == ["v4", "v3", "v2", "v1"]
    assert [entry["outcome"] for entry in log] == ["Stepping", "Promoted", "RolledBack", "Promoted"]
    trial, stable, refused, _ = log
    assert trial["hypothesis"] == STATED["hypothesis"]
    assert "endTime" not in trial
    assert stable["brought"] == "conversion +5.0 [2.7, 7.3]"
    assert stable["gain"] == pytest.approx(0.05)
    assert (refused["reason"], refused["origin"]) == ("CanaryWorse", "pushed")
    assert "brought" not in refused


def test_the_iteration_log_has_a_training_whose_version_its_hold_out_refused():
    rows_of_hold_out = {"accuracy": {"bad": 9, "total": 540}}
    last = {
        "outcome": "Rejected", "reason": "NotShownBetter", "version": "v4", "image": "r@sha256:v4",
        "completionTime": "2026-03-02T00:00:00Z", "evaluation": rows_of_hold_out,
        "stableEvaluation": {"accuracy": {"bad": 60, "total": 540}},
    }  # fmt: skip
    (entry,) = iterations(body(retraining={"lastResult": last}), [])
    assert (entry["version"], entry["outcome"], entry["reason"]) == (
        "v4",
        "Rejected",
        "NotShownBetter",
    )
    assert entry["brought"].startswith("hold-out accuracy +9.4")
    kept = ended("v4", "2026-03-02T00:00:00Z", "Rejected", reason="NotShownBetter")
    assert len(iterations(body(retraining={"lastResult": last}), [review("u", kept)])) == 1
    failed = last | {"outcome": "Failed", "reason": "JobFailed"}
    assert iterations(body(retraining={"lastResult": failed}), []) == []
    assert _HOLD_OUT_REASONS == HOLD_OUT_REASONS


def test_a_row_of_the_iteration_log_has_a_cell_for_each_column():
    log = iterations(body(), [review("", ended("v1", "2026-01-01T00:00:00Z", "Promoted"))])
    (row,) = rows(log)
    cells = dict(zip(COLUMNS, row, strict=True))
    assert (cells["version"], cells["slo"], cells["author"]) == ("v1", "conversion", None)
    assert cells["lower"] < cells["gain"] < cells["upper"]
