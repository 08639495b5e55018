"""What the whole operator writes in a few stories: a diff here is a change that users see."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import SETTINGS
from sluicegate.api import names
from tests.support.decisions.rollout_world import RUNTIME
from tests.support.lives.life import Life
from tests.support.lives.products import ACCURACY, AVAILABILITY, LATENCY, OUTPUT, bento, route
from tests.support.lives.retelling import retold
from tests.support.lives.steps import Step

Body = dict[str, Any]


def product(number: int = 0, **spec: Any) -> Body:
    """Return a product with blocks of a minute; other fields by keyword, None leaves one out."""
    fields: Body = {
        "owner": "group:default/catalog",
        "model": {"bento": bento("a"), "evaluation": {"accuracy": {"bad": 1000, "total": 10_000}}},
        "serving": {
            "runtimeImage": RUNTIME,
            "replicas": 2,
            "progressDeadlineSeconds": 60,
            "feedback": {"secretRef": {"name": "feedback"}},
            "resources": {"requests": {"cpu": "100m"}},
        },
        "slos": [AVAILABILITY, LATENCY, ACCURACY],
        "analysis": {"blockSeconds": 60},
        "rollout": {"steps": [5, 50], "maxDurationSeconds": 7200},
        "retraining": {"command": ["train"], "output": OUTPUT, "cooldownSeconds": 600},
        "route": route(number),
    } | spec
    fields = {name: value for name, value in fields.items() if value is not None}
    return {"metadata": {"name": f"product-{number}", "namespace": "catalog"}, "spec": fields}


STORIES = {
    "versions": Life(
        1,
        (product(),),
        (
            Step(1200, "push", (0, "b")),
            Step(3600, "behave", ("c", "failing")),
            Step(0, "push", (0, "c")),
            Step(900, "rename", (0,)),
            Step(60, "push", (0, "b")),
            Step(300, "runtime", (0, "e")),
            Step(1800, "environment", (0, "2")),
            Step(900, "ask", (0, names.REQUEST_ROLLBACK)),
            Step(1800, "suspend", (0, True)),
            Step(60, "push", (0, "d")),
            Step(300, "ask", (0, names.REQUEST_RETRAIN)),
            Step(300, "suspend", (0, False)),
            Step(600, "ask", (0, names.REQUEST_ABORT)),
            Step(300, "reuse", (0, "f")),
            Step(300, "replicas", (0, 3)),
            Step(300, "toggle_route", (0,)),
            Step(300, "push", (0, "e")),
            Step(900, "toggle_route", (0,)),
            Step(1200, "slos", (0, 5)),
            Step(1800, "delete", (0,)),
        ),
    ),
    "decay": Life(
        2,
        (
            product(),
            product(
                1,
                priority="Critical",
                route=None,
                dependsOn=[{"name": "product-0", "namespace": "catalog"}],
            ),
        ),
        (
            Step(3600, "behave", ("a", "wrong")),
            Step(7200, "behave", ("c", "wrong")),
            Step(3600, "ask", (0, names.REQUEST_RETRAIN)),
            Step(600, "ask", (1, names.REQUEST_RETRAIN)),
            Step(3600, "behave", ("a", "good")),
            Step(3600, "behave", ("c", "good")),
        ),
    ),
    "faults": Life(
        3,
        (product(),),
        (
            Step(1800, "push", (0, "b")),
            Step(300, "prometheus", (Lie.ERROR_503, 2400)),
            Step(3000, "refuse", ("deployments", 403, 600)),
            Step(10, "environment", (0, "1")),
            Step(700, "kill_leader", ()),
            Step(600, "crash", ("a",)),
            Step(1800, "behave", ("a", "good")),
            Step(600, "push", (0, "d")),
            Step(60, "gateway_refuses", (900,)),
            Step(1500, "lose_status", (0,)),
            Step(300, "unlabel", (0,)),
            Step(300, "scale_by_hand", (0, 7)),
            Step(300, "delete_child", (0,)),
            Step(300, "delete_route", (0,)),
            Step(300, "clock", (-90,)),
            Step(300, "quota", (1, 900)),
            Step(0, "replicas", (0, 5)),
            Step(1200, "another_operator", (1200,)),
            Step(1800, "behave", ("e", "no image")),
            Step(0, "push", (0, "e")),
            Step(1800, "behave", ("f", "on a busy node")),
            Step(0, "push", (0, "f")),
            Step(1800, "visitors", (0, 0.0)),
            Step(1800, "visitors", (0, 20.0)),
        ),
    ),
    "fleet": Life(
        4,
        (
            product(
                slos=[
                    AVAILABILITY | {"onDegraded": "Alert"},
                    ACCURACY | {"onDegraded": "Rollback"},
                ],
                priority="High",
                rollout={"steps": [10, 90], "maxDurationSeconds": 7200, "approval": "Manual"},
            ),
            product(
                1,
                serving={
                    "runtimeImage": RUNTIME,
                    "feedback": {"secretRef": {"name": "feedback"}},
                    "resources": {"requests": {"cpu": "100m"}},
                    "autoscaling": {"minReplicas": 2, "maxReplicas": 8},
                },
                rollout={
                    "steps": [50],
                    "maxDurationSeconds": 7200,
                    "shadow": {"command": ["score"], "intervalSeconds": 120},
                },
            ),
            product(
                2,
                model={"bento": bento("a")},
                priority="Low",
                rollout={
                    "steps": [25],
                    "maxDurationSeconds": 7200,
                    "shadow": {"mirror": {"percent": 50}, "intervalSeconds": 120},
                },
                dependsOn=[{"name": "product-0", "namespace": "catalog"}],
            ),
            product(3, route=route(0), retraining=None),
        ),
        (
            Step(3600, "load", (1, 5)),
            Step(60, "push", (0, "b")),
            Step(0, "push", (1, "b")),
            Step(0, "push", (2, "b")),
            Step(3600, "behave", ("b", "wrong")),
            Step(3600, "behave", ("b", "slow")),
            Step(3600, "behave", ("b", "good")),
            Step(600, "delete", (0,)),
        ),
    ),
    "blind": Life(
        5,
        (product(),),
        (
            Step(600, "push", (0, "b")),
            Step(1200, "ask", (0, names.REQUEST_PROMOTE)),
            Step(1200, "ask", (0, names.REQUEST_RETRAIN)),
            Step(600, "ask", (0, names.REQUEST_ABORT)),
        ),
    ),
}
"""Each with products of its own, and what happens to them."""


QUICK = {"blind"}


@pytest.mark.parametrize(
    "story",
    [pytest.param(story, marks=() if story in QUICK else pytest.mark.slow) for story in STORIES],
)
def test_the_decisions_of_a_story_equal_its_golden(story, golden):
    settings = SETTINGS.model_copy(update={"prometheus_url": ""}) if story == "blind" else SETTINGS
    golden(f"stories/{story}.txt", run_virtually(retold(STORIES[story], settings)))
