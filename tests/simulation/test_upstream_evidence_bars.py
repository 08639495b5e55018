"""Outcomes of a consumer by the version of its upstream: which requests count for which version.

A request of the consumer calls the upstream one or more times. Each row is one way to choose the
version of its calls and to count its outcome. `cells` enumerates what is counted, exactly; canaries
draw counts from it, and the test of the operator judges them. Seeds are fixed.
`UPSTREAM_EVIDENCE_RUNS=4000` simulates more canaries a row.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from math import comb, exp, factorial, sqrt
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest

from sluicegate.simulation.traffic import SimulatedArms
from sluicegate.simulation.vectorized_test import block_factors, expected_ratio
from sluicegate.stats.sequential_test import ALPHA, promotion_bound, rollback_bound

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
RUNS = int(os.environ.get("UPSTREAM_EVIDENCE_RUNS", "400"))
BAR = ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / RUNS)
BLOCKS, REQUESTS = 48, 3_000
"""Four hours in blocks of five minutes, with ten requests a second."""
SHARE, MARGIN = 0.25, 0.01
BASE, PER_CALL = 0.10, 0.02
"""Conversion is BASE + PER_CALL × calls: keen users cause more calls."""
MAX_CALLS = 20
DRAWN, PINNED, FIRST, UNMIXED, STRATA = (
    "drawn before the first call",
    "pinned after the first answer",
    "counted for the first answer, not pinned",
    "mixed requests left out",
    "mixed requests left out, by the number of calls",
)


@dataclass(frozen=True)
class World:
    """What requests are like. `calls`: mean of the Poisson number of calls after the first one."""

    calls: float = 2.0
    worse: float = 0.0
    """Points of conversion that a request loses whose calls all met the candidate."""
    parallel: bool = False
    """Whether all calls of a request begin at once, so that no answer precedes another call."""
    candidate_fails: float = 0.0
    """Share of the candidate's first answers that are lost (no mark), and are called again."""
    lost_costs: float = 0.10
    """Points of conversion that a lost answer costs."""
    more_calls: float = 0.0
    """Share of the requests in which the candidate's answers cause one more call, with no effect."""


@dataclass
class Cell:
    """Probability of requests that count for a version, and of bad ones among all requests."""

    total: float = 0.0
    bad: float = 0.0


Cells = dict[tuple[bool, int], Cell]
"""By whether the version is the candidate, and by stratum."""


def cells(way: str, world: World, share: float = SHARE) -> Cells:
    """What is counted of one request, by version and stratum."""
    found: Cells = {}
    is_drawn = way == DRAWN or (way == PINNED and not world.parallel)
    counted = _of_one_version if is_drawn else _of_single_calls
    for calls in range(1, MAX_CALLS + 1):
        number = exp(-world.calls) * world.calls ** (calls - 1) / factorial(calls - 1)
        for arm, stratum, share_of, value in counted(way, world, calls, share):
            cell = found.setdefault((arm, stratum), Cell())
            cell.total += number * share_of
            cell.bad += number * share_of * (1 - value)
    return found


Counted: TypeAlias = "Iterator[tuple[bool, int, float, float]]"
"""Whether it is the candidate, the stratum, the share of the requests, and their conversion."""


def _of_one_version(way: str, world: World, calls: int, share: float) -> Counted:
    """Return the requests whose calls are all answered by the version of the first answer."""
    keen = BASE + PER_CALL * calls
    versions = ((True, share), (False, 1 - share))
    for arm, of in versions:
        lost = world.candidate_fails * arm
        yield arm, 0, of * (1 - lost), keen - world.worse * arm
        # A lost answer is called again: by the same draw, or by a new one.
        for again, to in versions if way == PINNED else ((arm, 1.0),):
            yield again, 0, of * lost * to, keen - world.worse * again - world.lost_costs


def _of_single_calls(way: str, world: World, calls: int, share: float) -> Counted:
    """Requests each of whose calls is split by itself."""
    for ours in range(calls + 1):
        times = comb(calls, ours) * share**ours * (1 - share) ** (calls - ours)
        value = BASE + PER_CALL * calls - world.worse * ours / calls
        if way == FIRST:
            yield True, 0, times * ours / calls, value
            yield False, 0, times * (1 - ours / calls), value
        elif ours in {0, calls}:
            for extra, of in ((1, world.more_calls), (0, 1 - world.more_calls)):
                stratum = calls + extra * bool(ours) if way == STRATA else 0
                yield bool(ours), stratum, times * of, value


def mixed_share(calls: float, share: float = SHARE) -> float:
    """Share of the requests that meet both versions if each call is split by itself."""
    return 1 - share * exp(-calls * (1 - share)) - (1 - share) * exp(-calls * share)


def calls_with(share_mixed: float) -> float:
    """Mean number of calls after the first one with which that share of requests meets both."""
    low, high = 0.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mixed_share(middle) < share_mixed else (low, middle)
    return low


def bias(way: str, world: World) -> float:
    """Points by which the candidate's conversion seems lower than the stable version's."""
    found = cells(way, world)
    strata = {stratum for _, stratum in found if {(True, _), (False, _)}}
    sums, weights = 0.0, 0.0
    for stratum in strata:
        arms = [found.get((arm, stratum), Cell()) for arm in (True, False)]
        if min(arm.total for arm in arms) <= 0:
            continue
        weight = 1 / sum(1 / arm.total for arm in arms)
        candidate, stable = (arm.bad / arm.total for arm in arms)
        sums, weights = sums + weight * (candidate - stable), weights + weight
    return 100 * sums / weights


def canaries(way: str, world: World, seed: int) -> tuple[float, float]:
    """Shares of canaries that are promoted and rolled back, by the operator's test at one share."""
    source = np.random.default_rng(seed)
    found = cells(way, world)
    strata = sorted(
        {
            stratum
            for _, stratum in found
            if min(found.get((arm, stratum), Cell()).total for arm in (True, False)) * REQUESTS > 1
        }
    )
    arms = {arm: [found.get((arm, stratum), Cell()) for stratum in strata] for arm in (True, False)}
    past_bad, past = np.zeros((len(strata), RUNS)), np.zeros((len(strata), RUNS))
    promote, back, verdict = np.zeros(RUNS), np.zeros(RUNS), np.zeros(RUNS, int)
    for block in range(BLOCKS):
        drawn = {}
        for arm, each in arms.items():
            total = source.poisson([[REQUESTS * cell.total] for cell in each], (len(strata), RUNS))
            ratio = [[cell.bad / cell.total if cell.total else 0.0] for cell in each]
            drawn[arm] = (source.binomial(total, ratio).astype(float), total.astype(float))
        counts = SimulatedArms(*drawn[True], *drawn[False])
        if block:
            expected = expected_ratio(past_bad, past, np.array([[MARGIN]]))
            factors = block_factors(counts, expected, np.array([[MARGIN]]), np.zeros_like(past))
            promote += factors[0].sum(axis=0)
            back += factors[1].sum(axis=0)
        past_bad, past = past_bad + counts.stable_bad, past + counts.stable
        verdict = np.where((verdict == 0) & (back >= rollback_bound(1)), -1, verdict)
        verdict = np.where((verdict == 0) & (promote >= promotion_bound(1, 1)), 1, verdict)
    return float((verdict == 1).mean()), float((verdict == -1).mean())


WAYS = (DRAWN, PINNED, FIRST, UNMIXED, STRATA)


@pytest.mark.grid
def test_only_a_draw_before_the_first_call_keeps_both_error_rates_in_every_world():
    rows = []
    print()
    for way in WAYS:
        for share_mixed in (0.0, 0.2, 0.6):
            for parallel in (False, True):
                world = World(calls_with(share_mixed), parallel=parallel)
                points = bias(way, world)
                _, rolled_back = canaries(way, world, seed=1)
                promoted, _ = canaries(way, replace(world, worse=MARGIN), seed=2)
                rows.append((way, points, rolled_back, promoted))
                name = f"{share_mixed:.0%} mixed, {'parallel' if parallel else 'in turn'}"
                print(f"{way:48} {name:20} {points:+6.2f} {rolled_back:7.1%} {promoted:7.1%}")
    drawn = [row for row in rows if row[0] == DRAWN]
    assert all(abs(points) < 1e-9 for _, points, *_ in drawn)
    assert {way for way, _, *rates in rows if max(rates) > BAR} == {PINNED, FIRST, UNMIXED}


@pytest.mark.anchor
def test_excluding_mixed_requests_biases_an_equal_candidate_by_two_points():
    assert bias(UNMIXED, World(calls=2.0)) == pytest.approx(2.0, abs=0.01)


@pytest.mark.anchor
@pytest.mark.parametrize(("way", "points"), [(DRAWN, 2.0), (PINNED, 0.11)], ids=["drawn", "pinned"])
def test_lost_answers_count_for_the_candidate_only_if_the_retry_has_the_same_draw(way, points):
    """A fifth of the first answers are lost, and each costs ten points: two points on the whole."""
    assert bias(way, World(candidate_fails=0.2)) == pytest.approx(points, abs=0.01)


@pytest.mark.anchor
def test_a_candidate_that_causes_more_calls_is_biased_by_the_number_of_calls():
    """The calls have no effect: requests of less keen users are compared with those of keen ones."""
    world = World(more_calls=0.5)
    assert bias(STRATA, world) == pytest.approx(1.0, abs=0.1)
    assert abs(bias(DRAWN, world)) < 1e-9


# ---- users that make several requests --------------------------------------------------------
def users(source, *, worse, by_user):
    """Bad requests and requests of both versions, of one block of many runs.

    A user makes 1 + Poisson(2) requests, which convert with a ratio of the user's own (a Beta
    distribution whose requests have a correlation of .5).
    """
    number = REQUESTS // 3
    shape = (USER_RUNS, number)
    requests = 1 + source.poisson(2.0, shape)
    mean, spread = BASE + 3 * PER_CALL, 1 / 0.5 - 1
    keen = source.beta(mean * spread, (1 - mean) * spread, shape)
    if by_user:
        mine = np.where(source.random(shape) < SHARE, requests, 0)
    else:
        mine = source.binomial(requests, SHARE)
    bought = source.binomial(mine, np.maximum(keen * (1 - worse / mean), 0.0))
    others = source.binomial(requests - mine, keen)
    sums = [(mine - bought), mine, (requests - mine - others), requests - mine]
    return SimulatedArms(*(each.sum(axis=1)[None].astype(float) for each in sums))


USER_RUNS, USER_BLOCKS = 200, 24


def canaries_of_users(*, worse, by_user, seed):
    """Shares of canaries that are promoted and rolled back."""
    source = np.random.default_rng(seed)
    past_bad, past = np.zeros((1, USER_RUNS)), np.zeros((1, USER_RUNS))
    promote, back, verdict = np.zeros(USER_RUNS), np.zeros(USER_RUNS), np.zeros(USER_RUNS, int)
    margin = np.array([[2 * MARGIN]])
    for block in range(USER_BLOCKS):
        counts = users(source, worse=worse, by_user=by_user)
        if block:
            factors = block_factors(
                counts, expected_ratio(past_bad, past, margin), margin, np.zeros_like(past)
            )
            promote += factors[0][0]
            back += factors[1][0]
        past_bad, past = past_bad + counts.stable_bad, past + counts.stable
        verdict = np.where((verdict == 0) & (back >= rollback_bound(1)), -1, verdict)
        verdict = np.where((verdict == 0) & (promote >= promotion_bound(1, 1)), 1, verdict)
    return float((verdict == 1).mean()), float((verdict == -1).mean())


@pytest.mark.grid
def test_both_error_rates_hold_for_users_with_several_independently_drawn_requests():
    bar = ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / USER_RUNS)
    rates = {}
    for by_user in (False, True):
        _, rolled_back = canaries_of_users(worse=0.0, by_user=by_user, seed=1)
        promoted, _ = canaries_of_users(worse=2 * MARGIN, by_user=by_user, seed=2)
        rates[by_user] = max(rolled_back, promoted)
        name = "drawn for a user" if by_user else "drawn for a request"
        print(f"{name:20} equal rolled back {rolled_back:.1%}, worse promoted {promoted:.1%}")
    assert rates[False] <= bar < rates[True]
