"""Random lives of products: nothing unsafe ever happens, and each product reaches its goal.

`make lives` lives those of the seeds from 1 on; `SEED=7 make lives` only that of one. `LIVES` says
how many, and `WIDE=1` draws from the whole spec; without these they have 60,000 steps at least (conftest.py). A life that fails is
shrunk, and printed as the list of its steps.
"""

from __future__ import annotations

import os

import pytest

from tests.lives.conftest import LIVES, REACHED, STEPS
from tests.support.lives.known import KNOWN
from tests.support.lives.life import Life, draw_life, live
from tests.support.lives.shrink import shrunk
from tests.support.lives.telling import told

SEEDS = (
    [int(os.environ["SEED"])]
    if "SEED" in os.environ
    else list(range(1, int(os.environ.get("LIVES", LIVES)) + 1))
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_product_history_violates_no_invariant_and_ends_in_its_expected_state(
    seed, record_property
):
    life = draw_life(seed, wide="WIDE" in os.environ)
    lived = live(life)
    record_property(STEPS, lived.steps)
    record_property(REACHED, " ".join(map(str, lived.reached)))
    if lived.violations:
        pytest.fail(told(life, lived.violations[0]), pytrace=False)


@pytest.mark.timeout(900)
def test_each_listed_violation_is_reproduced_by_its_life():
    for known in KNOWN:
        products = draw_life(known.seed).products
        lived = live(Life(known.seed, products, known.steps), ())
        assert any(violation.name == known.name for violation in lived.violations), (
            f"it doesn't happen any more: take {known.name!r} (seed {known.seed}) out of known.py"
        )


def test_rows_of_mirrored_requests_become_evidence():
    """Of the version that is pushed at the end, to a product that was drawn with a mirror."""
    lived = live(draw_life(57, length=0))
    assert not lived.violations
    assert lived.mirrored > 1000


def test_a_failing_life_is_shrunk_to_the_necessary_steps():
    life = draw_life(3, length=30)
    desired = {life.steps[4], life.steps[21]}
    short = shrunk(life, lambda one: desired <= set(one.steps), max_lives=500)
    assert set(short.steps) == desired
    assert len(short.products) == 1


def test_the_same_seed_gives_the_same_life():
    assert draw_life(5) == draw_life(5)
    assert draw_life(5, wide=True) == draw_life(5, wide=True)
    assert str(draw_life(5)) != str(draw_life(6))
