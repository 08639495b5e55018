"""What can be tried after the story is shown as tables and verdicts that are true."""

from __future__ import annotations

import pytest

from demo.tries import history_lines, naming_what_serves

COUNTS = {"accuracy": {"bad": 80, "total": 1000}}


def test_the_history_begins_with_the_version_that_serves():
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


@pytest.mark.parametrize(
    ("serves", "model"),
    [
        ("v1", {"bento": {"image": "r@v1", "version": "v1", "service": "S"}, "evaluation": COUNTS}),
        ("v2", {"bento": {"image": "r@v2", "version": "v2", "service": "S"}}),
    ],
    ids=["as it was pushed", "retrained since"],
)
def test_after_a_push_that_was_taken_back_spec_model_names_what_serves(serves, model):
    pushed = {"bento": {"image": "r@v1", "version": "v1", "service": "S"}, "evaluation": COUNTS}
    product = {
        "apiVersion": "a",
        "kind": "DataProduct",
        "metadata": {"name": "pricing", "namespace": "p", "resourceVersion": "7", "uid": "u"},
        "spec": {"owner": "o", "model": pushed},
        "status": {"stable": {"version": serves, "image": f"r@{serves}", "service": "S"}},
    }
    assert naming_what_serves(product) == {
        "apiVersion": "a",
        "kind": "DataProduct",
        "metadata": {"name": "pricing", "namespace": "p"},
        "spec": {"owner": "o", "model": model},
    }
