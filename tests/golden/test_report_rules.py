"""Which conditions are news, and for how long the start of a version need not be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.status import Condition, DataProductStatus
from sluicegate.conditions import Finding
from sluicegate.kube.resources import Key
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.condition_events import news
from sluicegate.reconcile.report.first_version_start import FirstStarts
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START, World, document
from tests.support.decisions.rollouts import serving
from tests.support.decisions.rule_inputs import SPLITS, STABLE


def test_for_how_long_a_start_need_not_be_told():
    def waits(seconds: int, products: int = 1, deadline: int = 600, **seen: Any) -> bool:
        world = World(spec=document())
        world.spec["spec"]["serving"]["progressDeadlineSeconds"] = deadline
        observation = replace(world.observation(), now=START + seconds, **seen)
        starts = FirstStarts({Key("a", f"{number}"): START for number in range(products)})
        return starts.can_wait(observation, make_plan(observation))

    assert [waits(seconds) for seconds in (0, 29, 30)] == [True, True, False]
    assert [waits(seconds, products=310) for seconds in (30, 31)] == [True, False]
    assert [waits(seconds, products=310, deadline=30) for seconds in (29, 30)] == [True, False]
    finding = Finding(ConditionType.STALLED, "True", ConditionReason.VERSION_REUSED)
    for name, seen in (("begun", None), ("conflict", "a"), ("refused", "a"), ("stalled", finding)):
        assert not waits(0, **{name: seen})
    ready = World(spec=document())
    ready.settle()
    ready.pass_block()
    observation = replace(ready.observation(), begun=ready.now)
    plan = make_plan(observation)
    assert plan.status.stable is not None
    for split, word in SPLITS.items():
        found = FirstStarts().can_wait(replace(observation, split=word), plan)
        assert found is (split == "written")
    served = replace(serving().observation(), begun=None)
    assert not FirstStarts().can_wait(replace(served, begun=served.now), make_plan(served))


def test_which_conditions_are_news(golden):
    def of(known: Any, was: Any, now: Any) -> str:
        kind, stable = known

        def status_of(one: Any, version: Any) -> DataProductStatus:
            found = (
                () if one is None else (Condition(type=kind, last_transition_time=START, **one),)
            )
            return DataProductStatus(stable=version, conditions=found)

        told = news(status_of(was, stable), status_of(now, STABLE))
        return (
            ", ".join(f"{one.action} {one.reason}{'!' * one.warning} {one.message}" for one in told)
            or "nothing"
        )

    def table(*each: tuple[str, str, str]) -> dict[str, Any]:
        return {
            f"{status} {reason} {text}": {"status": status, "reason": reason, "message": text}
            for status, reason, text in each
        }

    none: dict[str, Any] = {"none": None}
    stalled = table(
        *[
            ("True", reason, text)
            for reason in ("ModelRejected", "ApiChanged", "ApplyRefused", "VersionReused")
            for text in "ab"
        ]
    )
    ready = table(
        ("True", "Serving", "a"),
        *[
            ("False", reason, text)
            for reason in ("PodsNotReady", "NameConflict", "RouteNotAccepted")
            for text in "ab"
        ],
    )
    measured = table(
        ("True", "FeedbackSecretUnusable", "a"),
        ("False", "FeedbackSecretUnusable", "b"),
        ("False", "NoData", "a"),
    )
    lines: list[str] = []
    for kind, found in (
        (ConditionType.STALLED, stalled),
        (ConditionType.READY, ready),
        (ConditionType.METRICS_AVAILABLE, measured),
    ):
        last = [name for name in found if name.endswith("a")]
        serves = (
            {"served": (kind, STABLE), "is new": (kind, None)}
            if kind is ConditionType.READY
            else {str(kind): (kind, STABLE)}
        )
        lines += combined(
            of,
            serves,
            {
                f"after {name}": one
                for name, one in (none | {name: found[name] for name in last}).items()
            },
            found,
        )
    golden("rules/news.txt", lines)
