"""The canary's e-processes: vectors of the design, exact means, and no surprise at any size."""

import math
import random
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.stats import sequential_test
from sluicegate.stats.canary_duration import (
    events_to_roll_back,
    evidence_growth,
    expected_seconds,
    kl_divergence,
    warmed_up,
)
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import PairedEvidence, Pairs
from sluicegate.stats.sequential_test import (
    SequentialEvidence,
    better_bound,
    block_factor,
    expected_ratio,
    nearest_null,
    promotion_bound,
    rollback_bound,
    sequential_evidence,
)

STRETCH = 64


@pytest.mark.parametrize(
    ("bad", "promote", "roll_back"), [(0, 0.306507, -0.297236), (1, -0.383664, 0.356768)]
)
def test_the_evidence_factors_equal_the_documented_vectors(bad, promote, roll_back):
    factor = block_factor(Count(bad, 30), Count(6, 570), 0.01, 0.01)
    assert factor[:2] == pytest.approx((promote, roll_back), abs=1e-6)
    assert nearest_null(30, 570, 0.01, 0.01) == pytest.approx(0.00974431, abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("weights", [(30, 570), (500, 500), (1, 10**6), (5, 1)])
@pytest.mark.parametrize(
    ("ratio", "margin"), [(0.01, 0.01), (0.1, 0.015), (0.5, 0.2), (0.001, 0.05)]
)
def test_the_nearest_null_hypothesis_minimises_relative_entropy(weights, ratio, margin):
    from scipy.optimize import minimize_scalar
    from scipy.special import rel_entr

    ours, theirs = weights

    def entropy(s):
        near = rel_entr(ratio, s + margin) + rel_entr(1 - ratio, 1 - s - margin)
        return ours * near + theirs * (rel_entr(ratio, s) + rel_entr(1 - ratio, 1 - s))

    found = minimize_scalar(
        entropy,
        bounds=(max(ratio - margin, 1e-12), ratio),
        method="bounded",
        options={"xatol": 1e-12},
    )
    canary, stable = weights
    assert entropy(nearest_null(canary, stable, ratio, margin)) <= found.fun + 1e-9


def promote(*block):
    return block_factor(*block).promote_factor


def roll_back(*block):
    return block_factor(*block).roll_back


def better(*block):
    return block_factor(*block).better_factor


def _chances(size, rate):
    """Return the probability of each number of successes in this many trials."""
    return [
        math.comb(size, number) * rate**number * (1 - rate) ** (size - number)
        for number in range(size + 1)
    ]


def mean_factor(sizes, rates, ratio, margin, *, of):
    """Return E[e] of one block by enumerating all outcomes of both arms."""
    total = 0.0
    chances = [_chances(size, rate) for size, rate in zip(sizes, rates, strict=True)]
    for ours, chance in enumerate(chances[0]):
        for theirs, beside in enumerate(chances[1]):
            factor = of(Count(ours, sizes[0]), Count(theirs, sizes[1]), ratio, margin)
            total += chance * beside * math.exp(factor)
    return total


def random_nulls(number):
    source = random.Random(7)
    for _ in range(number):
        margin = source.choice([0.005, 0.01, 0.03, 0.1, 0.3])
        ratio = min(max(source.random() ** 3, 1e-6), 1 - margin - 1e-6)
        sizes = (source.randint(1, 7), source.randint(1, 12))
        stable = source.uniform(0, 1 - margin)
        yield sizes, stable, ratio, margin, source


@pytest.mark.slow
def test_the_mean_promotion_factor_of_a_candidate_worse_by_the_margin_is_at_most_one():
    for sizes, stable, ratio, margin, source in random_nulls(150):
        worse = source.choice([stable + margin, source.uniform(stable + margin, 1)])
        assert mean_factor(sizes, (worse, stable), ratio, margin, of=promote) <= 1 + 1e-9


def test_the_mean_rollback_factor_of_a_candidate_that_is_not_worse_is_at_most_one():
    for sizes, stable, ratio, margin, source in random_nulls(150):
        equal = source.choice([stable, source.uniform(0, stable)])
        assert mean_factor(sizes, (equal, stable), ratio, margin, of=roll_back) <= 1 + 1e-9


def test_the_mean_superiority_factor_of_a_candidate_that_is_not_better_is_at_most_one():
    for sizes, stable, ratio, margin, source in random_nulls(150):
        equal = source.choice([stable, source.uniform(stable, 1)])
        assert mean_factor(sizes, (equal, stable), ratio, margin, of=better) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("candidate", "stable"), [((0, 0), (3, 10)), ((3, 10), (0, 0)), ((0, 0), (0, 0))]
)
def test_a_version_without_events_gives_no_sequential_evidence(candidate, stable):
    assert block_factor(Count(*candidate), Count(*stable), 0.1, 0.05) == (0.0, 0.0, 0.0)


@given(
    st.sampled_from([0, 1, 10, 10**9]),
    st.sampled_from([0, 1, 10, 10**9]),
    st.sampled_from([1e-6, 0.001, 0.5, 0.9]),
    st.sampled_from([0.001, 0.05]),
    st.sampled_from([0.0, 0.01, 1.0]),
)
def test_evidence_is_finite_for_counts_of_any_size(ours, theirs, ratio, margin, correlation):
    for bad in {0, ours}:
        factor = block_factor(
            Count(bad, ours), Count(theirs, theirs), ratio, margin, correlation=correlation
        )
        assert all(map(math.isfinite, factor))


@given(st.integers(0, 49), st.integers(0, 300))
def test_more_bad_events_of_the_candidate_never_raise_the_evidence_in_its_favour(bad, theirs):
    less = block_factor(Count(bad, 50), Count(theirs, 300), 0.1, 0.03)
    more = block_factor(Count(bad + 1, 50), Count(theirs, 300), 0.1, 0.03)
    assert more.promote_factor <= less.promote_factor
    assert more.roll_back >= less.roll_back


def test_the_expected_ratio_of_a_block_is_computed_from_earlier_blocks_only():
    past = Count(10, 1000)
    one = sequential_evidence([(Count(0, 50), Count(500, 500))], past, margin=0.01)
    expected = block_factor(Count(0, 50), Count(500, 500), expected_ratio(past, 0.01), 0.01)
    assert (one.promote_evidence, one.roll_back, one.better_evidence) == expected


def test_a_block_without_evidence_changes_only_the_expected_ratio():
    past = Count(10, 1000)
    seen = sequential_evidence(
        [(None, Count(50, 500)), (Count(3, 50), Count(5, 500))], past, margin=0.01
    )
    direct = sequential_evidence([(Count(3, 50), Count(5, 500))], Count(60, 1500), margin=0.01)
    assert seen == direct


def test_the_decision_bounds_follow_from_the_error_rates():
    assert promotion_bound(3, 3) == pytest.approx(math.log(20))
    assert promotion_bound(1, 3) == pytest.approx(math.log(20) / 3)
    assert rollback_bound(3) == pytest.approx(math.log(60))
    assert rollback_bound(0) == rollback_bound(1) == pytest.approx(math.log(20))
    assert better_bound(1, 4, 3) == pytest.approx(math.log(60) / 4)


@pytest.mark.parametrize(
    ("ratio", "margin", "promote", "roll_back"),
    [
        (0.001, 0.001, 9747, 7745),
        (0.01, 0.005, 3127, 2737),
        (0.01, 0.01, 960, 765),
        (0.03, 0.015, 1014, 891),
        (0.05, 0.025, 592, 522),
        (0.1, 0.02, 1503, 1425),
        (0.1, 0.03, 701, 649),
        (0.1, 0.05, 275, 245),
    ],
)
def test_the_planned_number_of_events_equals_the_documented_number(
    ratio, margin, promote, roll_back
):
    assert round(math.log(20) / kl_divergence(ratio, ratio + margin)) == promote
    assert round(events_to_roll_back(ratio, margin)) == roll_back


def test_the_evidence_of_a_small_canary_grows_by_the_planning_formula():
    small = 1e-4
    assert evidence_growth(small, 0.1, 0.03) / small == pytest.approx(
        kl_divergence(0.1, 0.13), rel=0.01
    )


def test_nearly_equal_traffic_shares_take_about_twice_as_many_canary_events():
    half = evidence_growth(0.5, 0.1, 0.03) / 0.5
    assert 1.7 < kl_divergence(0.1, 0.13) / half < 2.4


def test_the_planned_duration_of_a_canary_without_events_is_infinite():
    assert math.isinf(
        expected_seconds((5, 50), events_per_second=0, ratio=0.1, margin=0.03, block_seconds=60)
    )


@pytest.mark.parametrize("known", [0.0, 1.2])
@pytest.mark.parametrize("correlation", [0.0, 0.01])
def test_the_planned_duration_follows_from_the_evidence_at_each_share(known, correlation):
    """Blocks of a minute with 240 events of both arms; each step needs half of ln 20."""
    expected, gathered = 0.0, known
    for step, weight in ((1, 0.05), (2, 0.5)):
        lacking = max(step * math.log(20) / 2 - gathered, 0)
        gathered += lacking
        arms = [240 * part for part in (weight, 1 - weight)]
        ours, theirs = (n / (1 + (n - 1) * correlation) for n in arms)
        a_block = evidence_growth(ours / (ours + theirs), 0.1, 0.03) * (ours + theirs)
        expected += 60 * max(lacking / a_block, 5) + 60 * 2
    found = expected_seconds(
        (5, 50), events_per_second=4, ratio=0.1, margin=0.03, block_seconds=60,
        correlation=correlation, earlier_evidence=known,
    )  # fmt: skip
    assert found == pytest.approx(expected)
    if not known and not correlation:
        assert found == expected_seconds(
            (5, 50), events_per_second=4, ratio=0.1, margin=0.03, block_seconds=60
        )


def test_the_growth_of_the_evidence_is_the_relative_entropy_of_the_nearest_null():
    nulls = [0.07 + step * 1e-6 for step in range(1, 30_000)]
    for weight in (0.05, 0.5):
        nearest = min(
            weight * kl_divergence(0.1, s + 0.03) + (1 - weight) * kl_divergence(0.1, s)
            for s in nulls
        )
        assert evidence_growth(weight, 0.1, 0.03) == pytest.approx(nearest, rel=1e-8)
    assert evidence_growth(0.5, 0.0, 0.03) == evidence_growth(0.5, 1e-6, 0.03)
    assert evidence_growth(0.5, 1.0, 0.03) == evidence_growth(0.5, 0.97 - 1e-6, 0.03)


def test_relative_entropy_is_defined_at_zero_and_one():
    assert kl_divergence(0.0, 0.25) == pytest.approx(math.log(4 / 3))
    assert kl_divergence(1.0, 0.25) == pytest.approx(math.log(4))
    assert kl_divergence(0.5, 0.25) == pytest.approx(math.log(2 / math.sqrt(3)))


def test_the_first_two_blocks_after_the_route_is_accepted_are_no_evidence():
    assert [warmed_up(at, 300) for at in (0, 1, 300, 300.5)] == [2, 3, 3, 4]


@pytest.mark.parametrize(
    ("past", "margin", "ratio"),
    [
        ((9, 99), 0.03, 0.095),
        ((0, 0), 0.6, 0.4 - 1e-6),
        ((0, 10**9), 0.03, 1e-6),
        ((0, 0), 0.1, 0.5),
    ],
)
def test_the_expected_ratio_of_the_next_block_is_that_of_stable(past, margin, ratio):
    assert expected_ratio(Count(*past), margin) == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.02])
@pytest.mark.parametrize(("ratio", "margin"), [(0.1, 0.03), (0.01, 0.03)])
def test_the_evidence_of_a_block_uses_its_independent_events(ratio, margin, correlation):
    """The three likelihood ratios of the documentation, event by event."""
    ours, theirs = Count(4, 50), Count(60, 400)

    def log_likelihood(count, p):
        share = 1 / (1 + (count.total - 1) * correlation)
        return share * (count.bad * math.log(p) + (count.total - count.bad) * math.log(1 - p))

    sizes = [one.total / (1 + (one.total - 1) * correlation) for one in (ours, theirs)]
    null = nearest_null(sizes[0], sizes[1], ratio, margin)
    found = block_factor(ours, theirs, ratio, margin, correlation=correlation)
    assert found.promote_factor == pytest.approx(
        log_likelihood(ours, ratio) + log_likelihood(theirs, ratio)
        - log_likelihood(ours, null + margin) - log_likelihood(theirs, null)
    )  # fmt: skip
    for evidence, bet in (
        (found.roll_back, ratio + margin), (found.better_factor, max(ratio - margin, ratio / 2)),
    ):  # fmt: skip
        pooled = (sizes[0] * bet + sizes[1] * ratio) / sum(sizes)
        assert evidence == pytest.approx(
            log_likelihood(ours, bet) + log_likelihood(theirs, ratio)
            - log_likelihood(ours, pooled) - log_likelihood(theirs, pooled)
        )  # fmt: skip


def test_with_plenty_of_events_the_duration_is_dwell_time_and_warm_up():
    seconds = expected_seconds(
        (5, 25, 50), events_per_second=1e6, ratio=0.1, margin=0.03, block_seconds=60
    )
    assert seconds == pytest.approx(3 * 7 * 60)


@given(
    st.lists(
        st.tuples(
            st.none() | st.tuples(st.integers(0, 9), st.integers(9, 90)),
            st.tuples(st.integers(0, 90), st.integers(90, 900)),
        ),
        max_size=2 * STRETCH + 9,
    )
)
def test_evidence_is_the_sum_of_block_factors_with_and_without_the_cache(drawn):
    blocks = [(one and Count(*one), Count(*other)) for one, other in drawn]
    past, expected = Count(3, 100), [0.0, 0.0, 0.0]
    both = [(one, other) for one, other in blocks if one is not None]
    for candidate, stable in blocks:
        ratio = expected_ratio(past, 0.02)
        past = Count(past.bad + stable.bad, past.total + stable.total)
        if candidate is not None:
            factor = block_factor(candidate, stable, ratio, 0.02, correlation=0.001)
            for place, one in enumerate(factor):
                expected[place] += one
    for _ in range(2):
        found = sequential_evidence(blocks, Count(3, 100), margin=0.02, correlation=0.001)
        assert [found.promote_evidence, found.roll_back, found.better_evidence] == expected
        assert (found.candidate, found.stable) == tuple(
            Count(sum(one[arm].bad for one in both), sum(one[arm].total for one in both))
            for arm in (0, 1)
        )


def test_evidence_from_more_blocks_than_the_cache_holds_computes_only_the_new_blocks(monkeypatch):
    """Where all canaries together had more than 65,536, each pass computed each block again."""
    few = lru_cache(maxsize=STRETCH)(block_factor.__wrapped__)
    monkeypatch.setattr(sequential_test, "block_factor", few)
    canaries = [
        [(Count(number % 7, 100 + one), Count(number % 5, 1900)) for number in range(20 * STRETCH)]
        for one in range(3)
    ]
    for blocks in canaries:
        sequential_evidence(blocks, Count(1, 100), margin=0.02)
    before = few.cache_info().misses
    for blocks in canaries:
        sequential_evidence([*blocks, (Count(1, 10), Count(1, 10))], Count(1, 100), margin=0.02)
    assert 0 < few.cache_info().misses - before <= len(canaries)


def test_without_blocks_there_is_no_evidence():
    nothing = SequentialEvidence(0.0, 0.0, Count(0, 0), Count(0, 0), 0.0)
    assert sequential_evidence([], Count(3, 100), margin=0.02) == SequentialEvidence() == nothing
    known = PairedEvidence(1.0, -2.0, 0.5, Pairs(9, 3, 1, 0))
    after = nothing.with_paired(known)
    assert (after.promote_evidence, after.roll_back, after.better_evidence) == (1.0, 0.0, 0.5)
