"""What can be tried after the story is shown as tables and verdicts that are true."""

from __future__ import annotations

from cluster.demo.tries import history_lines

COUNTS = {"accuracy": {"bad": 80, "total": 1000}}


def test_the_history_begins_with_the_version_that_serves():
    status = {
        "stable": {"version": "v2", "source": "Retraining", "baseline": COUNTS},
        "history": [
            {"version": "v3", "fate": "RolledBack", "reason": "CanaryWorse", "until": "12:00"},
            {"version": "v1", "fate": "Replaced", "until": "11:00", "baseline": COUNTS},
        ],
    }
    headings, *rows = (line.split() for line in history_lines(status))
    assert headings[0] == "version"
    assert rows[0][:4] == ["v2", "Stable", "Retraining", "now"]
    assert rows[1] == ["v3", "RolledBack", "CanaryWorse", "12:00", "–"]
    assert rows[2] == ["v1", "Replaced", "–", "11:00", "92.0", "%", "(n=1,000)"]
