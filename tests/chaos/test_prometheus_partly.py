"""Part of what a product owes isn't counted any more, or can't be judged: the rest goes on.

An SLO is Unknown for want of events only when a whole window holds none. Labels have a long one,
so they have ended already when the operator starts: it judges what is left, and then nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.judged_products import (
    BLOCK_SECONDS,
    BUSY,
    CARS_OWE,
    RIGHT,
    VANS_OWE,
    Judged,
    judged,
    slo,
)
from tests.support.kept_promises import Promises
from tests.support.live_product import conditions
from tests.support.proxied_operator import RECOVERY_SECONDS
from tests.support.replicas import apply
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster.controlplane import ControlPlane
    from tests.support.measured_world import Measured

pytestmark = pytest.mark.timeout(300)

Object = dict[str, Any]

WINDOW = 12 * BLOCK_SECONDS
"""In which an SLO of requests looks for events; one of outcomes looks twice as far."""
REQUESTS_AND_LABELS = [CARS_OWE[0], {**VANS_OWE[0], "onDegraded": "Alert"}]
FRESH = replace(BUSY, gauge=100)
BASKET = {"metric": "basket_value", "bound": "50", "staleAfterSeconds": 10}
CLICKS = replace(BUSY, good_events=90, bad_events=10)
ALL_BAD = replace(BUSY, bad=950, fast=0)
A_WEEK = 604_800


@dataclass(frozen=True)
class Case:
    """A product: what it owes, what it did before and what it does then."""

    slos: list[Object]
    before: Measured
    after: Measured


CASES = {
    "unlabelled": Case(REQUESTS_AND_LABELS, RIGHT, replace(RIGHT, correct=None, wrong=None)),
    "night": Case(CARS_OWE, BUSY, replace(BUSY, requests=0, bad=0, fast=0)),
    "stale-gauge": Case(
        [{"name": "basket", "indicator": {"gauge": BASKET}}], FRESH, replace(FRESH, gauge_age=60)
    ),
    "lagging": Case(
        [{"name": "clicks", "objective": "0.5",
          "indicator": {"events": {"indicator": "conversion", "lagSeconds": A_WEEK}}}],
        CLICKS, CLICKS,
    ),
    "lax": Case([{**CARS_OWE[0], "objective": "0.05"}], ALL_BAD, ALL_BAD),
}  # fmt: skip
ENDING = {
    "unlabelled": ("accuracy", "NoData"),
    "night": ("availability", "NoTraffic"),
    "stale-gauge": ("basket", "Stale"),
}
"""By product the SLO that nothing is known of any more in the end, and why."""


@dataclass(frozen=True)
class Told:
    """Status by product while something was wanting and when it was there again; and events."""

    before: dict[str, Object]
    during: dict[str, Object]
    events: dict[str, list[str]]
    after: dict[str, Object]


@pytest.fixture(scope="module")
def told(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """All cases at the same time, on one operator."""
    with judged(control_plane, "partly", tmp_path_factory.mktemp("partly")) as scene:
        promises = Promises(control_plane, "partly", scene.replica)
        before = begin(scene)
        known = events(scene)
        for name in ("night", "stale-gauge"):
            scene.show(name, CASES[name].after, since=time.time())
        during = wait_for(scene, nothing_is_left, seconds=WINDOW + RECOVERY_SECONDS)
        more = {name: events(scene)[name][len(known[name]) :] for name in CASES}
        promises.check_without_data()
        for name in ENDING:
            scene.show(name, CASES[name].before, since=time.time())
        after = wait_for(scene, all_is_counted, seconds=RECOVERY_SECONDS)
        yield Told(before, during, more, after)
        promises.check()


def begin(scene: Judged) -> dict[str, Object]:
    """Serve all, each for long enough to be judged; return what is said of them then."""
    for name, case in CASES.items():
        scene.show(name, case.before)
    scene.show("unlabelled", CASES["unlabelled"].after, since=time.time() - WINDOW)
    apply(scene.plane, *(scene.body(name, slos=case.slos) for name, case in CASES.items()))
    for name in CASES:
        scene.product(name).until_ready()
    scene.accepted_long_ago(*CASES)
    return wait_for(scene, all_is_counted, seconds=RECOVERY_SECONDS)


def all_is_counted(said: dict[str, Object]) -> bool:
    return all(states(said[name]) == {"OK"} for name in ENDING)


def nothing_is_left(said: dict[str, Object]) -> bool:
    """Whether all is said that will be."""
    return all(
        (slo(said[name], owed).get("state"), slo(said[name], owed).get("reason"))
        == ("Unknown", reason)
        for name, (owed, reason) in ENDING.items()
    )


def states(status: Object) -> set[str]:
    return {one["state"] for one in status.get("slos") or ()}


def wait_for(
    scene: Judged, holds: Callable[[dict[str, Object]], bool], *, seconds: float
) -> dict[str, Object]:
    """Status by product, once that holds; what was seen last where it doesn't."""
    seen: dict[str, Object] = {}

    def look() -> bool:
        products = scene.product("").listed("sluicegate.dev/v1alpha1/dataproducts")
        seen.update({one["metadata"]["name"]: one.get("status") or {} for one in products})
        return holds(seen)

    try:
        eventually(look, seconds=seconds, every=0.5, what=holds.__name__)
    except AssertionError as error:
        print(error)  # each case's own test says whether it was
    return seen


def events(scene: Judged) -> dict[str, list[str]]:
    """Why people were told something, by product, in the order in which they were."""
    found = scene.product("").listed("events.k8s.io/v1/events")
    listed = sorted(found, key=lambda one: str(one["eventTime"]))
    return {
        name: [one["reason"] for one in listed if one["regarding"]["name"] == name]
        for name in CASES
    }


def verdict(status: Object, name: str) -> tuple[str, str]:
    return slo(status, name)["state"], slo(status, name)["reason"]


def test_an_slo_without_labels_is_unknown_and_the_others_are_judged_on(told):
    status = told.during["unlabelled"]
    assert verdict(status, "accuracy") == ("Unknown", "NoData")
    assert verdict(status, "availability") == ("OK", "WithinObjective")
    assert status["state"] == "Healthy"
    assert conditions(status)["MetricsAvailable"] == "True"
    assert told.events["unlabelled"] == []
    assert verdict(told.after["unlabelled"], "accuracy")[0] == "OK"


def test_a_night_without_traffic_is_unknown_no_event_and_the_last_state_is_kept(told):
    assert told.before["night"]["state"] == "Healthy"
    status = told.during["night"]
    assert verdict(status, "availability") == ("Unknown", "NoTraffic")
    assert (status["state"], status["lastKnownState"]) == ("Unknown", "Healthy")
    assert conditions(status)["Ready"] == "True"
    assert told.events["night"] == []
    assert told.after["night"]["state"] == "Healthy"


def test_a_gauge_whose_sample_is_too_old_says_nothing_for_however_long(told):
    """More than an hour's blocks were stale: nobody has made the series go."""
    assert verdict(told.before["stale-gauge"], "basket") == ("OK", "WithinObjective")
    status = told.during["stale-gauge"]
    assert verdict(status, "basket") == ("Unknown", "Stale")
    assert conditions(status)["MetricsAvailable"] == "False"
    assert verdict(told.after["stale-gauge"], "basket") == ("OK", "WithinObjective")


def test_an_objective_that_no_window_can_exceed_is_told_to_be_a_mistake(told):
    status = told.during["lagging"]
    assert verdict(status, "clicks") == ("Unknown", "Misconfigured")
    assert conditions(status)["MetricsAvailable"] == "False"


def test_windows_whose_burn_rate_a_lax_objective_cannot_reach_are_left_out(told):
    """Three times 0.95 is more than all requests, once 0.95 isn't: all fail, and it is a warning."""
    assert verdict(told.during["lax"], "availability") == ("WARN", "BudgetBurning")
