"""What is known of products after a restart, before any of them has been looked at."""

from __future__ import annotations

import pytest

from sluicegate.api.status import ProductState
from sluicegate.kube.resources import Key
from sluicegate.policy.retraining import Budget
from sluicegate.reconcile.portfolio import Standings
from sluicegate.reconcile.records import product_record
from sluicegate.reconcile.standing import Standing, standing_before

BLOCK = 60
FIRST = 30_000_000
STREAK = {"first": FIRST, "last": FIRST + 2, "evaluations": 3, "fresh": 3}
BAD = {"name": "accuracy", "state": "BAD", "streak": STREAK}


def record(name: str = "search", **status):
    return product_record(
        {
            "metadata": {
                "name": name,
                "namespace": "catalog",
                "uid": name,
                "resourceVersion": "1",
            },
            "spec": {"analysis": {"blockSeconds": BLOCK}},
            "status": status,
        }
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, Standing()),
        ({"state": "Healthy", "slos": [{"name": "accuracy", "state": "OK"}]}, Standing()),
        ({"retraining": {"trigger": {"id": "12345678"}}}, Standing(training=True)),
        (
            {"state": "Degrading", "slos": [BAD]},
            Standing(block_seconds=BLOCK, bad_since=FIRST * BLOCK),
        ),
        (
            {"state": "Degraded", "slos": [BAD]},
            Standing(state=ProductState.DEGRADED, block_seconds=BLOCK, bad_since=FIRST * BLOCK),
        ),
    ],
    ids=["new", "healthy", "training", "turning bad", "degraded"],
)
def test_a_status_tells_who_trains_and_who_is_bad(status, expected):
    assert standing_before(record(**status)) == expected


def test_a_common_cause_is_known_after_a_restart_before_the_first_is_judged():
    standings = Standings(Budget())
    for name in ("a", "b", "c", "d"):
        status = {"state": "Degraded", "slos": [BAD]} if name != "d" else {}
        standings.record(Key("catalog", name), standing_before(record(name, **status)))
    now = FIRST * BLOCK + 86_400
    assert standings.portfolio(Key("catalog", "a"), now).turned_bad == 3
