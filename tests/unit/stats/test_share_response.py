"""Whether a bad ratio follows the share of another product's version or changes by itself."""

from __future__ import annotations

import random
from math import log
from typing import Final

import pytest

from sluicegate.policy.diagnosis.upstream_release import FOLLOWS, MOMENTS
from sluicegate.policy.diagnosis.upstream_release import OWN as OWN_EVIDENCE
from sluicegate.stats.counts import Count
from sluicegate.stats.share_response import Bin, ShareChange, ShareResponse, share_response

BLOCK: Final = 300
USUAL, LOST, OWN = 0.1, 0.2, 0.1
STEPS: Final = (0.05, 0.25, 0.5, 1.0)
STEP_BLOCKS: Final = 6
RUNS: Final = 40


def response(
    seed: int,
    *,
    lost: float = 0.0,
    own_from: float | None = None,
    delay: int = 0,
    events: int = 600,
    bad_until: int = -24,
    until: int = 72,
    late_wrong: bool | None = None,
) -> ShareResponse:
    """Return a rollout in four steps of half an hour, with two hours before it and four after it.

    Parameters
    ----------
    lost : bad ratio that the version adds at all of the traffic.
    own_from : block from which the ratio is worse by OWN, whatever the version has.
    delay : of the labels, in blocks. bad_until : block before which the ratio is worse by LOST.
    until : end of the events, in blocks. late_wrong : which labels are late in `in_a_burst`; None without it.
    """
    draw = random.Random(seed)
    changes = [ShareChange(step * STEP_BLOCKS * BLOCK, share) for step, share in enumerate(STEPS)]
    bins = []
    for block in range(-24, until):
        reached = min(max((block - delay) // STEP_BLOCKS, -1), len(STEPS) - 1)
        ratio = USUAL + (lost * STEPS[reached] if reached >= 0 else 0.0)
        ratio += OWN if own_from is not None and block >= own_from else 0.0
        ratio += LOST if block < bad_until else 0.0
        bad = sum(draw.random() < ratio for _ in range(events))
        right, wrong = (1, 1) if late_wrong is None else in_a_burst(block, late_wrong=late_wrong)
        count = Count(round(wrong * bad), round(wrong * bad + right * (events - bad)))
        bins.append(Bin(block * BLOCK, (block + 1) * BLOCK, count))
    found = share_response(bins, changes, block_seconds=BLOCK, lag_seconds=0)
    assert found is not None
    return found


def shows_own(found: ShareResponse) -> bool:
    return (
        found.own >= MOMENTS * log(found.moments) + OWN_EVIDENCE and found.lasting >= OWN_EVIDENCE
    )


@pytest.mark.parametrize("delay", [0, 3, 12])
def test_a_ratio_that_follows_the_traffic_share_is_not_an_independent_change(delay):
    found = [response(seed, lost=LOST, delay=delay) for seed in range(RUNS)]
    assert all(each.follows > 50 for each in found)
    assert sum(map(shows_own, found)) <= RUNS // 20
    assert all(each.without == pytest.approx(USUAL, abs=0.03) for each in found)
    assert all(each.at_full == pytest.approx(USUAL + LOST, abs=0.03) for each in found)


@pytest.mark.parametrize("own_from", [-10, 3, 9, 15, 40])
def test_a_change_at_another_time_than_a_step_is_detected(own_from):
    found = [response(seed, own_from=own_from) for seed in range(RUNS)]
    assert sum(map(shows_own, found)) >= RUNS * 0.9


def test_a_change_at_the_time_of_a_bad_version_is_detected_with_the_size_of_the_change():
    found = [response(seed, lost=LOST, own_from=9) for seed in range(RUNS)]
    assert sum(map(shows_own, found)) >= RUNS * 0.9
    assert all(each.own_rise == pytest.approx(OWN, abs=0.06) for each in found)


@pytest.mark.parametrize("bad_until", [-20, -6])
def test_an_incident_that_ended_before_the_release_is_no_level_without_it(bad_until):
    found = [response(seed, lost=LOST, bad_until=bad_until) for seed in range(RUNS)]
    assert all(each.follows > 50 for each in found)
    assert sum(map(shows_own, found)) <= RUNS // 20
    assert all(each.without == pytest.approx(USUAL, abs=0.03) for each in found)


def in_a_burst(block: int, *, late_wrong: bool) -> tuple[float, float]:
    """Return factors of the labels of right and of wrong answers: one comes an hour later.

    The burst of ten times the traffic begins at block 36 and ends an hour later.
    """
    quick, late = (10.0 if begin <= block < begin + 12 else 1.0 for begin in (36, 48))
    return (quick, late) if late_wrong else (late, quick)


@pytest.mark.parametrize("late_wrong", [False, True], ids=["right ones late", "wrong ones late"])
@pytest.mark.parametrize("until", [48, 54, 72])
def test_labels_of_one_outcome_that_come_first_in_a_burst_are_no_lasting_change(late_wrong, until):
    found = [response(seed, lost=LOST, late_wrong=late_wrong, until=until) for seed in range(RUNS)]
    assert sum(map(shows_own, found)) <= RUNS // 20


def test_a_steady_ratio_has_no_response_to_the_traffic_share():
    assert sum(response(seed).follows >= 5 for seed in range(RUNS)) <= 1


def test_an_improvement_with_the_traffic_share_is_no_response():
    assert response(1, lost=-0.08).follows == 0.0


def test_a_version_as_old_as_the_data_has_no_share_response():
    bins = [Bin(i * BLOCK, (i + 1) * BLOCK, Count(30, 300)) for i in range(20)]
    first = [ShareChange(2 * BLOCK, 1.0)]
    assert share_response(bins, first, block_seconds=BLOCK, lag_seconds=0) is None


def test_two_delays_of_many_labels_leave_no_change_by_itself():
    """Half of the labels come after 15 minutes and half after an hour, and nothing scatters."""
    changes = [
        ShareChange(moment * BLOCK, share)
        for moment, share in zip((0, 1, 3, 4), STEPS, strict=True)
    ]

    def share(block: int) -> float:
        return max(
            (change.share for change in changes if change.time <= block * BLOCK), default=0.0
        )

    def counted(block: int) -> Count:
        ratio = USUAL + 0.09 * (share(block - 3) + share(block - 12)) / 2
        return Count(round(2_400 * ratio), 2_400)

    bins = [Bin(block * BLOCK, (block + 1) * BLOCK, counted(block)) for block in range(-28, 47)]
    fitted = share_response(bins, changes, block_seconds=BLOCK, lag_seconds=0)
    assert fitted is not None
    assert fitted.own < 1
    assert fitted.follows > 100


def hours(first: int, counts: tuple[tuple[float, int], ...]) -> list[Bin]:
    """Return bins of an hour each, by bad ratio and events; `first` is the block of their begin."""
    return [
        Bin(
            (first + 12 * index) * BLOCK,
            (first + 12 * (index + 1)) * BLOCK,
            Count(round(ratio * events), events),
        )
        for index, (ratio, events) in enumerate(counts)
    ]


def blocks(first: int, counts: tuple[tuple[float, int], ...]) -> list[Bin]:
    """Return bins of a block each, twelve of each bad ratio and number of events."""
    return [
        Bin(
            (first + index) * BLOCK,
            (first + index + 1) * BLOCK,
            Count(round(ratio * events), events),
        )
        for index, (ratio, events) in enumerate(pair for pair in counts for _ in range(12))
    ]


def test_hours_that_scatter_before_the_release_are_the_scatter_of_the_hours_since():
    """Earlier bins are hours and later ones blocks: sums of as many bins would be of unequal times."""
    before = hours(
        -72, ((0.18, 4500), (0.22, 5700), (0.2, 5200), (0.24, 4800), (0.28, 3500), (0.16, 2500))
    )
    since = ((0.26, 210), (0.31, 190), (0.27, 280), (0.31, 450), (0.38, 520), (0.45, 380))
    found = share_response(
        [*before, *blocks(0, since)], [ShareChange(0, 0.5), ShareChange(BLOCK, 1.0)],
        block_seconds=BLOCK, lag_seconds=0,
    )  # fmt: skip
    assert found is not None
    assert found.follows >= FOLLOWS
    assert not shows_own(found)


def test_a_burst_whose_labels_come_unequally_late_hides_no_release():
    usual, shifted = 40_000, 45_000
    burst = (
        (0.05, 405_000),
        (0.13, 1_420_000),
        (0.51, 1_040_000),
        (0.3, 744_000),
        (0.6, 375_000),
        (0.43, 91_000),
    )
    after = (*((0.29, shifted),) * 8, *burst, *((0.31, 60_000),) * 6)
    found = share_response(
        hours(-72, (*((0.2, usual),) * 6, *after)), [ShareChange(0, 1.0)],
        block_seconds=BLOCK, lag_seconds=0,
    )  # fmt: skip
    assert found is not None
    assert found.follows >= 5 * FOLLOWS
    assert found.lasting_rise < 0.05  # maxDrop


def test_labels_that_come_after_unequal_times_leave_no_change_by_itself_where_the_traffic_wanders():
    """A label of a wrong answer comes an hour late, and the traffic of an hour is up to twice that of another."""
    draw, shown = random.Random(3), 0
    for _ in range(RUNS):
        traffic = [draw.lognormvariate(0.0, 0.4) for _ in range(13)]
        counts = tuple(
            ((ratio * late) / (ratio * late + (1 - ratio) * now), round(600 * (ratio * late + (1 - ratio) * now)))
            for ratio, late, now in zip(
                (*(0.2,) * 6, *(0.35,) * 6), traffic[:-1], traffic[1:], strict=True
            )
        )  # fmt: skip
        found = share_response(
            blocks(-72, counts), [ShareChange(0, 1.0)], block_seconds=BLOCK, lag_seconds=0
        )
        assert found is not None
        shown += shows_own(found)
    assert shown <= RUNS // 20


@pytest.mark.parametrize(
    "events",
    [(*(1000,) * 9, 1100, 1210, 1331), (1000, 1000, 1000, 1300, 1690, 2197, *(2197,) * 6)],
    ids=["since the release", "before the release"],
)
def test_traffic_that_grows_from_one_moment_on_is_no_change_of_a_steady_ratio(events):
    bins = hours(-9 * 12, tuple((0.2, total) for total in events))
    found = share_response(bins, [ShareChange(0, 1.0)], block_seconds=BLOCK, lag_seconds=0)
    assert found is not None
    assert (found.follows, found.own) == (0.0, 0.0)


def test_the_present_share_is_that_of_the_newest_bin_also_in_a_burst():
    changes = [ShareChange(0, 0.15), ShareChange(30 * BLOCK, 1.0)]
    before = hours(-72, ((0.1, 2400),) * 6)
    counts = [(0.13, 200)] * 30 + [(0.3, 420)] * 18
    since = [
        Bin(index * BLOCK, (index + 1) * BLOCK, Count(round(ratio * events), events))
        for index, (ratio, events) in enumerate(counts)
    ]
    found = share_response([*before, *since], changes, block_seconds=BLOCK, lag_seconds=0)
    assert found is not None
    assert found.present_share == pytest.approx(1.0)


def test_time_without_a_bin_is_no_change_of_the_traffic():
    """Two hours are left out, as another cause disturbed them, and each hour has as many events."""
    kept = [*hours(-96, ((0.1, 7200),) * 2), *hours(-48, ((0.1, 7200),) * 4)]
    found = share_response(
        [*kept, *blocks(0, ((0.4, 600),) * 4)],
        [ShareChange(0, 1.0)],
        block_seconds=BLOCK,
        lag_seconds=0,
    )
    assert found is not None
    assert found.moments == len(kept) + 48
    assert found.spread == pytest.approx(0.0)


def test_the_spread_is_of_the_time_from_the_longest_delay_before_a_change_on():
    before = hours(-72, ((0.1, 1200), *((0.1, 7200),) * 5))
    since = blocks(0, ((0.1, 600), (0.4, 600), (0.4, 900), (0.4, 600)))
    found = share_response(
        [*before, *since], [ShareChange(0, 0.01)], block_seconds=BLOCK, lag_seconds=0
    )
    assert found is not None
    assert found.spread == pytest.approx(log(1.5))


def test_a_small_ratio_that_grows_faster_than_the_share_follows_it():
    draw = random.Random(2)
    changes = [ShareChange(step * 16 * BLOCK, share) for step, share in enumerate(STEPS)]
    bins = []
    for block in range(-72, 96):
        share = STEPS[min(block // 16, len(STEPS) - 1)] if block >= 0 else 0.0
        bad = sum(draw.random() < 0.001 + 0.039 * share**1.5 for _ in range(500))
        bins.append(Bin(block * BLOCK, (block + 1) * BLOCK, Count(bad, 500)))
    found = share_response(bins, changes, block_seconds=BLOCK, lag_seconds=0)
    assert found is not None
    assert found.follows > FOLLOWS
    assert found.without < 0.005
