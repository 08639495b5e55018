"""What can be tried after the story is shown as tables and verdicts that are true."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

from cluster.identity import Identity
from cluster.kind import KindCluster
from demo.telling import StageMissedError, Telling
from demo.terminal import Terminal
from demo.tries import decision_lines, history_lines, spec_model_restored, with_stable_model
from sluicegate.reconcile.decide.events import decision_status

COUNTS = {"accuracy": {"bad": 80, "total": 1000}}


def test_the_demo_history_begins_with_the_serving_version():
    status = {
        "stable": {"version": "v2", "source": "Retraining", "baseline": COUNTS},
        "history": [
            {"version": "v3", "outcome": "RolledBack", "reason": "CanaryWorse", "endTime": "12:00"},
            {"version": "v1", "outcome": "Replaced", "endTime": "11:00", "baseline": COUNTS},
        ],
    }
    headings, *rows = (line.split() for line in history_lines(status))
    assert headings[0] == "version"
    assert rows[0][:4] == ["v2", "Stable", "Retraining", "now"]
    assert rows[1] == ["v3", "RolledBack", "CanaryWorse", "12:00", "–"]
    assert rows[2] == ["v1", "Replaced", "–", "11:00", "92.0", "%", "(n=1,000)"]


def test_the_last_decision_is_shown_with_its_time_in_status():
    decision = decision_status("Rollback", "CanaryWorse", "v3 is worse", now=1_767_225_600)
    assert decision_lines({"decision": decision.to_dict()}) == (
        "last decision: Rollback (CanaryWorse) at 2026-01-01T00:00:00Z",
        "  v3 is worse",
    )


def test_a_product_without_a_decision_is_shown_without_one():
    assert decision_lines({}) == ("no decision yet",)


@pytest.mark.parametrize(
    ("serves", "model"),
    [
        ("v1", {"bento": {"image": "r@v1", "version": "v1", "service": "S"}, "evaluation": COUNTS}),
        ("v2", {"bento": {"image": "r@v2", "version": "v2", "service": "S"}}),
    ],
    ids=["as it was pushed", "retrained since"],
)
def test_after_a_rolled_back_push_the_demo_sets_spec_model_to_stable(serves, model):
    pushed = {"bento": {"image": "r@v1", "version": "v1", "service": "S"}, "evaluation": COUNTS}
    product = {
        "apiVersion": "a",
        "kind": "DataProduct",
        "metadata": {"name": "pricing", "namespace": "p", "resourceVersion": "7", "uid": "u"},
        "spec": {"owner": "o", "model": pushed},
        "status": {"stable": {"version": serves, "image": f"r@{serves}", "service": "S"}},
    }
    assert with_stable_model(product) == {
        "apiVersion": "a",
        "kind": "DataProduct",
        "metadata": {"name": "pricing", "namespace": "p"},
        "spec": {"owner": "o", "model": model},
    }


@pytest.mark.parametrize("end", [None, StageMissedError("v9 was promoted"), KeyboardInterrupt()])
def test_after_each_demo_rollout_spec_model_names_the_serving_version(end, tmp_path, monkeypatch):
    """A kubectl that keeps what it is to apply."""
    monkeypatch.setenv("SLUICEGATE_CACHE", str(tmp_path))
    kind = KindCluster(Identity("mine"))
    kind.state.mkdir(parents=True)
    applied, program = tmp_path / "applied", kind.state / "kubectl"
    program.write_text(f'#!/bin/sh\ncat > "{applied}"\n')
    program.chmod(0o755)
    product = {
        "apiVersion": "a",
        "kind": "DataProduct",
        "metadata": {"name": "pricing", "namespace": "p"},
        "spec": {"model": {"bento": {"image": "r@v1", "version": "v1", "service": "S"}}},
        "status": {"stable": {"version": "v2", "image": "r@v2", "service": "S"}},
    }
    shown = io.StringIO()
    expected = contextlib.nullcontext() if end is None else pytest.raises(type(end))
    with expected, spec_model_restored(Telling(kind, Terminal(shown)), product):
        assert not applied.exists()
        if end is not None:
            raise end
    assert json.loads(applied.read_text()) == with_stable_model(product)
    assert "spec.model is v2 again" in shown.getvalue()
