"""Prometheus answers, and what it says is no measurement: each such row of numbers, on one operator.

While a row lasts, the canary that it is about keeps its share and the product that turns bad isn't
called degraded; what is wrong stands in status. When it is over, both are judged within seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.judged_products import (
    BLOCK_SECONDS,
    BUSY,
    CANARY,
    CARS_OWE,
    HELD,
    RIGHT,
    STEPS,
    VANS_OWE,
    WRONG,
    Judged,
    judged,
    slo,
    weight,
)
from tests.support.kept_promises import Promises
from tests.support.live_product import conditions
from tests.support.proxied_operator import RECOVERY_SECONDS
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane
    from tests.support.measured_world import Measured

pytestmark = pytest.mark.timeout(400)

Changes = dict[str, Any]
Object = dict[str, Any]

GONE: Changes = {
    "requests": None, "bad": None, "fast": None, "correct": None, "wrong": None, "targets": 0,
}  # fmt: skip
SILENT: Changes = {**GONE, "targets": 2}
NIGHT: Changes = {"requests": 0, "bad": 0, "fast": 0, "correct": 0, "wrong": 0}
ALERTED = [{**VANS_OWE[0], "onDegraded": "Alert"}]
SILENT_FOR = 12 * BLOCK_SECONDS
"""Longer than the ten blocks after which a silent canary goes back."""


@dataclass(frozen=True)
class Row:
    """What is wrong with the numbers, of which versions, and as what it shows in status."""

    reason: str = ""
    stable: Changes = field(default_factory=dict)
    canary: Changes = field(default_factory=dict)
    vans: Changes = field(default_factory=dict)


def everywhere(reason: str, **changes: Any) -> Row:
    return Row(reason, stable=changes, canary=changes, vans=changes)


ROWS = {
    "no-series": everywhere("NoData", **GONE),
    "no-traffic": everywhere("", **NIGHT),
    "not-a-number": Row("InvalidData", {"bad": nan}, {"bad": nan}, {"wrong": nan}),
    "infinite": Row("InvalidData", {"requests": inf}, {"requests": inf}, {"wrong": inf}),
    "negative": Row("InvalidData", {"requests": -5}, {"requests": -5}, {"wrong": -5}),
    "more-bad-than-all": Row("InvalidData", {"bad": 2000}, {"bad": 100}, {"correct": -400}),
    "half-scraped": everywhere("LowCoverage", coverage=0.5),
    "scraped-twice": everywhere("InvalidData", duplicates=1),
    "stale": everywhere("PrometheusStale", age=10),
    "labels-absent": Row(canary=NIGHT, vans={"correct": None, "wrong": None}),
}
LASTING = {"canary-unscraped": GONE, "canary-silent": SILENT, "canary-not-a-number": {"bad": nan}}
HONEST = "no-errors"
"""Counters of errors that don't exist, beside requests that do, are no errors."""


@dataclass(frozen=True)
class Told:
    """What status said: while the rows lasted, after they were over, and of those that last on."""

    during: dict[str, Object]
    after: dict[str, Object]
    lasting: dict[str, Object]


@pytest.fixture(scope="module")
def told(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """All rows at the same time: most of it is waiting for blocks."""
    folder = tmp_path_factory.mktemp("data")
    with judged(control_plane, "data", folder) as scene:
        promises = Promises(control_plane, "data", scene.replica)
        begin(scene)
        during = lie(scene)
        after = tell_the_truth(scene)
        yield Told(during, after, outlast(scene))
        assert not scene.truth.early, "no block is asked for before it has settled"
        promises.check()


def begin(scene: Judged) -> None:
    cars = [f"cars-{name}" for name in (*ROWS, *LASTING, HONEST)]
    scene.serve(*(f"vans-{name}" for name in ROWS), slos=ALERTED, shown=RIGHT)
    scene.serve(*cars, slos=CARS_OWE, shown=BUSY)
    scene.begin_canaries(*cars, slos=CARS_OWE)


def lie(scene: Judged) -> dict[str, Object]:
    now = time.time()
    for name, row in ROWS.items():
        show_both(scene, name, row, now)
    for name, changes in LASTING.items():
        scene.show(f"cars-{name}", replace(CANARY, **changes), since=now)
    scene.show(f"cars-{HONEST}", replace(BUSY, bad=None), since=now)
    scene.show(f"cars-{HONEST}", replace(CANARY, bad=None), since=now)
    time.sleep(HELD)  # how long it lasts is what is tested: in this time nothing is decided
    return statuses(scene)


def show_both(scene: Judged, name: str, row: Row, since: float) -> None:
    shown: list[tuple[str, Measured, Changes]] = [
        (f"cars-{name}", BUSY, row.stable),
        (f"cars-{name}", CANARY, row.canary),
        (f"vans-{name}", WRONG, row.vans),
    ]
    for product, measured, changes in shown:
        scene.show(product, replace(measured, **changes), since=since)


def tell_the_truth(scene: Judged) -> dict[str, Object]:
    now = time.time()
    for name in ROWS:
        show_both(scene, name, Row(), now)
    seen: dict[str, Object] = {}

    def all_judged() -> bool:
        seen.update(statuses(scene))
        return all(
            weight(seen[f"cars-{name}"]) == STEPS[1]
            and slo(seen[f"vans-{name}"], "accuracy").get("state") == "BAD"
            for name in ROWS
        )

    try:
        eventually(all_judged, seconds=RECOVERY_SECONDS, every=1, what="all to be judged")
    except AssertionError as error:
        print(error)  # each row's own test says whether it was
    print(f"all rows were over {time.time() - now:.1f} s ago")
    return seen


def outlast(scene: Judged) -> dict[str, Object]:
    """The lasting rows, after they have lasted for longer than ten blocks."""
    scene.product("cars-canary-silent").until(
        lambda status: not weight(status), seconds=SILENT_FOR, what="the silent canary to go back"
    )
    time.sleep(2 * BLOCK_SECONDS)  # time in which the others could follow, and must not
    return statuses(scene)


def statuses(scene: Judged) -> dict[str, Object]:
    products = scene.product("").listed("sluicegate.dev/v1alpha1/dataproducts")
    return {one["metadata"]["name"]: one.get("status") or {} for one in products}


@pytest.mark.parametrize("name", ROWS)
def test_numbers_that_are_no_measurement_decide_nothing_and_the_reason_is_told(told, name):
    cars, vans = told.during[f"cars-{name}"], told.during[f"vans-{name}"]
    assert weight(cars) == STEPS[0]
    assert not slo(vans, "accuracy").get("degraded")
    assert slo(vans, "accuracy")["state"] != "BAD"
    for status, of in ((cars, "availability"), (vans, "accuracy")):
        assert conditions(status)["Ready"] == "True"
        if ROWS[name].reason:
            assert (slo(status, of)["state"], slo(status, of)["reason"]) == (
                "Unknown",
                ROWS[name].reason,
            )
            assert conditions(status)["MetricsAvailable"] == "False"


@pytest.mark.parametrize("name", ROWS)
def test_when_the_numbers_are_true_again_all_is_judged(told, name):
    assert weight(told.after[f"cars-{name}"]) == STEPS[1]
    assert slo(told.after[f"vans-{name}"], "accuracy")["state"] == "BAD"


def test_counters_of_errors_that_do_not_exist_are_no_errors(told):
    status = told.during[f"cars-{HONEST}"]
    assert weight(status) == STEPS[1]
    assert slo(status, "availability")["state"] == "OK"
    assert conditions(status)["MetricsAvailable"] == "True"


def test_a_canary_that_is_scraped_and_counts_nothing_goes_back(told):
    (refused,) = told.lasting["cars-canary-silent"]["history"]
    assert (refused["version"], refused["fate"], refused["reason"]) == (
        *("v2", "RolledBack"),
        "CanaryNoData",
    )


def test_a_canary_that_nobody_scrapes_is_held_not_judged(told):
    for status in (told.during, told.lasting):
        cars = status["cars-canary-unscraped"]
        assert weight(cars) == STEPS[0]
        assert not cars.get("history")


def test_a_canary_whose_numbers_are_none_for_ten_blocks_is_held_and_none_of_them_counts(told):
    cars = told.lasting["cars-canary-not-a-number"]
    assert weight(cars) == STEPS[0]
    assert not cars.get("history")
    totals = {one["slo"]: one["candidateTotal"] for one in cars["candidate"]["evidence"]}
    assert totals["availability"] == 0
