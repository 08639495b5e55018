"""One SLO of a candidate isn't measured while the others are: it says nothing, and only that.

What must speak for the candidate holds it then; what may speak is passed over.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.canary import CandidatePhase
from tests.support.judged_products import (
    BUSY,
    CANARY,
    CARS_OWE,
    FIRST_STEP,
    STEPS,
    judged,
    weight,
)
from tests.support.kept_promises import Promises

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane
    from tests.support.judged_products import Judged
    from tests.support.measured_world import Measured

pytestmark = pytest.mark.timeout(400)

Object = dict[str, Any]

ACCURACY = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.05"}
BASKET = {
    "name": "basket",
    "indicator": {"gauge": {"metric": "basket_value", "bound": "50", "staleAfterSeconds": 10}},
    "maxRegression": "5",
}
REQUIRED = {"canaryEvidence": "Required"}
UNLABELLED = replace(BUSY, correct=None, wrong=None)
FULL = replace(BUSY, gauge=100)
EMPTY = replace(CANARY, gauge=40)
EMPTY_LONG_AGO = replace(EMPTY, gauge_age=60)


@dataclass(frozen=True)
class Case:
    """What a product owes beside the availability that speaks for its candidate, and shows."""

    slo: Object
    stable: Measured
    canary: Measured


CASES = {
    "labels-required": Case(ACCURACY | REQUIRED, UNLABELLED, CANARY),
    "labels-if-available": Case(ACCURACY, UNLABELLED, CANARY),
    "stale-required": Case(BASKET | REQUIRED, FULL, EMPTY_LONG_AGO),
    "stale-if-available": Case(BASKET, FULL, EMPTY_LONG_AGO),
    "fresh": Case(BASKET, FULL, EMPTY),
}
PASSED_OVER = ("labels-if-available", "stale-if-available")
HELD_AT = {"labels-required": STEPS[0], "stale-required": STEPS[-1], "fresh": STEPS[-1]}
"""A gauge needs blocks, not requests, so it is asked at the last step only. The same sample that is
passed over when it is old must speak for the candidate when it is fresh."""


@pytest.fixture(scope="module")
def told(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Object]]:
    """Status by product, when the two that can pass have."""
    with judged(control_plane, "silent-slos", tmp_path_factory.mktemp("silent-slos")) as scene:
        promises = Promises(control_plane, "silent-slos", scene.replica)
        begin(scene)
        go_on(scene)
        for name in PASSED_OVER:
            promote(scene, name)
        listed = scene.product("").listed("sluicegate.dev/v1alpha1/dataproducts")
        yield {one["metadata"]["name"]: one["status"] for one in listed}
        promises.check()


def begin(scene: Judged) -> None:
    """Let all have a canary that has been at its first step for long enough."""
    owed = {name: [*CARS_OWE, case.slo] for name, case in CASES.items()}
    for name, case in CASES.items():
        scene.serve(name, slos=owed[name], shown=case.stable)
    scene.begin_canaries_of(owed)
    for name, case in CASES.items():
        scene.show(name, case.canary, since=time.time())


def go_on(scene: Judged) -> None:
    """Let all that get to the last step have its share of the requests there."""
    held_before = {name for name, weight in HELD_AT.items() if weight != STEPS[-1]}
    for name in CASES.keys() - held_before:
        scene.product(name).until(
            lambda status: weight(status) == STEPS[-1], what=f"{name} at the last step"
        )
        canary = replace(CASES[name].canary, requests=BUSY.requests, fast=BUSY.fast)
        scene.show(name, canary, since=time.time())


def promote(scene: Judged, name: str) -> None:
    """See a candidate pass, and let nobody ask the old version's pods any more."""
    scene.product(name).until(is_promoted, what=f"{name} to pass", seconds=2 * FIRST_STEP)
    idle = replace(CASES[name].stable, requests=0, bad=0, fast=0)
    scene.show(name, idle, since=time.time())
    scene.product(name).until_stable("v2", seconds=FIRST_STEP)


def is_promoted(status: Object) -> bool:
    return (status.get("candidate") or {}).get("phase") == CandidatePhase.PROMOTING


@pytest.mark.parametrize("name", PASSED_OVER)
def test_an_slo_that_is_not_measured_does_not_keep_the_others_from_promoting(told, name):
    assert told[name]["stable"]["version"] == "v2"


@pytest.mark.parametrize("name", HELD_AT)
def test_an_slo_that_must_speak_for_a_canary_holds_it_until_it_does(told, name):
    assert weight(told[name]) == HELD_AT[name]
    assert not told[name].get("history")
