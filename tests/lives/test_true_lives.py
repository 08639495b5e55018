"""Lives that know the truth: what each version is worth decides what ought to serve at the end.

`make lives` lives some of both kinds; `SEED=7 make lives` those of one seed, `CANARIES` and `YEARS`
say how many. What must never be fails a life at once; error rates are judged over all lives of the
run by their exact bounds (promises.py). `KIND=canaries COUNT=2000 make fuzz` lives more.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.lives.promises import JUDGED, judged
from tests.support.lives.canary_lives import CanaryLife, draw_canary
from tests.support.lives.known import known_of
from tests.support.lives.product_years import draw_year
from tests.support.lives.truth import TrueLife, reduced, report_of
from tests.support.lives.worlds import Absence, Sky

CANARIES, YEARS = 8, 3
DAYS = 21.0
"""The longest product-year here; `make fuzz` has whole years."""


def seeds(name: str, number: int) -> list[int]:
    """Those of a run."""
    if "SEED" in os.environ:
        return [int(os.environ["SEED"])]
    return list(range(1, int(os.environ.get(name, number)) + 1))


def check(life: TrueLife, command: str, record_property: object) -> None:
    """Live it, record what it is judged by, and fail by what must never be."""
    lived = life.live()
    assert callable(record_property)
    print(
        f"{lived.outcome} after {lived.seconds / 3600:.1f} h, {lived.steps} steps: {lived.judged}"
    )
    print(dict(lived.checked))
    record_property(JUDGED, judged(lived))
    if fresh := [violation for violation in lived.violations if known_of(life, violation) is None]:
        pytest.fail(
            report_of(life, replace(lived, violations=tuple(fresh)), command), pytrace=False
        )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", seeds("CANARIES", CANARIES))
def test_a_canary_promotes_good_and_rolls_back_bad_candidates_within_the_error_rates(
    seed, record_property
):
    check(draw_canary(seed), f"SEED={seed} make lives", record_property)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", seeds("YEARS", YEARS))
def test_a_degraded_product_is_retrained_and_a_healthy_one_is_not(seed, record_property):
    check(draw_year(seed, DAYS), f"SEED={seed} make lives", record_property)


def test_a_failing_life_with_known_quality_is_shrunk_to_the_necessary_parts():
    absences = tuple(Absence(kind, 60.0, 60.0) for kind in ("operator", "prometheus", "scrapes"))
    life = replace(draw_canary(1), absences=absences, sky=Sky(swing=0.3, daily=0.1), approval=60.0)

    def still(shorter: TrueLife) -> bool:
        assert isinstance(shorter, CanaryLife)
        return absences[1] in shorter.absences and shorter.sky.swing > 0

    short = reduced(life, still)
    assert isinstance(short, CanaryLife)
    assert (short.absences, short.sky, short.approval) == ((absences[1],), Sky(swing=0.3), None)


def test_the_same_seed_gives_the_same_life_with_known_quality():
    assert draw_canary(5) == draw_canary(5) != draw_canary(6)
    assert draw_year(5) == draw_year(5) != draw_year(6)
