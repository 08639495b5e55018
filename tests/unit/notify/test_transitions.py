from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.base import rfc3339
from sluicegate.api.outcome import Outcome
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.api.status import Condition, DataProductStatus
from sluicegate.api.verdict import ArmCounts, CanaryVerdict
from sluicegate.notify.catalogue import CATALOGUE, Kind
from sluicegate.notify.cursor import Cursor, ReviewCursor, cursor_of, decode, encode
from sluicegate.notify.transitions import (
    Origin,
    Transition,
    numbered,
    review_transition,
    transitions,
)
from sluicegate.stats.counts import Count
from tests.support.receivers.told_product import ToldProduct

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_700_000_000
ORIGIN = Origin("catalog", "search", "0f" * 16, owner="group:default/search", markets=("FR", "AT"))


class Told:
    """One that reads statuses, and keeps the cursor alone."""

    def __init__(self) -> None:
        self.cursor: Cursor | None = None
        self.found: list[Transition] = []

    def look(self, status: DataProductStatus) -> list[Transition]:
        after = cursor_of(status, {}, self.cursor or Cursor(), "u")
        since = self.cursor or after.without_levels()
        found = numbered(transitions(since, after, status, ORIGIN), since)
        self.cursor = replace(after, count=since.count + len(found))
        self.found += found
        return found

    def restart(self) -> None:
        assert self.cursor is not None
        self.cursor = decode(encode(self.cursor))


@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=1, max_size=40))
def test_each_transition_is_found_once_whatever_restarts(seed, restarts):
    dice, told, product = random.Random(seed), Told(), ToldProduct(NOW)
    told.look(product.status)
    expected = []
    for at, restart in enumerate(restarts, start=1):
        expected.append(product.step(dice, NOW + 60 * at))
        if restart:
            told.restart()
        told.look(product.status)
        assert told.look(product.status) == [], "a status that says the same says nothing"
    assert [one.kind for one in told.found] == expected
    assert len({one.id for one in told.found}) == len(expected)


@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=1, max_size=40))
def test_missed_transitions_are_found_as_far_as_the_status_shows_them(seed, looks):
    """One that looks seldom finds each promotion, rollback and result that is still there."""
    dice, told, seldom, product = random.Random(seed), Told(), Told(), ToldProduct(NOW)
    told.look(product.status)
    seldom.look(product.status)
    for at, look in enumerate(looks, start=1):
        product.step(dice, NOW + 60 * at)
        told.look(product.status)
        if look:
            seldom.look(product.status)
    seldom.look(product.status)
    lasting = {Kind.PROMOTED, Kind.ROLLED_BACK}

    def of(found):
        return [(one.kind, one.version, one.time) for one in found if one.kind in lasting]

    # Its history has ten versions: of those in it none is missed, and none is found twice.
    newest = {one.end_time for one in product.status.history}
    shown = {one for one in of(told.found) if one[2] in newest}
    assert shown <= set(of(seldom.found))
    assert len(of(seldom.found)) == len(set(of(seldom.found)))
    assert set(of(seldom.found)) <= set(of(told.found))
    for event in ("promoted", "ended", "attempt", "result"):  # a level may be unknown by now
        assert getattr(seldom.cursor, event) == getattr(told.cursor, event)


def last_found(*steps: Callable[[ToldProduct], Kind]) -> list[Transition]:
    """What is found after the last of these steps; they come a minute apart, and each is seen."""
    told, product = Told(), ToldProduct(NOW)
    found = told.look(product.status)
    for step in steps:
        product.now += 60
        step(product)
        found = told.look(product.status)
    return found


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.FAILED, Kind.RETRAINING_FAILED),
        (Outcome.REJECTED, Kind.RETRAINING_REJECTED),
        (Outcome.IN_PROGRESS, Kind.RETRAINING_FINISHED),
    ],
)
def test_the_result_of_a_training_is_found_with_its_words(outcome, kind):
    (found,) = last_found(ToldProduct.train, lambda one: one.train_out(outcome))
    assert (found.kind, found.message) == (kind, "Traceback: no data")


def test_a_promotion_has_the_numbers_of_its_decision():
    (found,) = last_found(ToldProduct.start, ToldProduct.promote)
    assert found.decision == {
        "type": "Promote", "reason": "CanaryNotWorse",
        "message": "32 bad of 4,000, stable 30 of 4,000", "decisionTime": "2023-11-14T22:15:20Z",
    }  # fmt: skip


def test_while_nothing_can_be_measured_a_product_stays_degraded():
    steps = [ToldProduct.degrade, ToldProduct.lose_metrics]
    assert [one.kind for one in last_found(*steps)] == [Kind.METRICS_LOST]
    found = last_found(*steps, lambda one: one.find_metrics(degraded=True))
    assert [one.kind for one in found] == [Kind.METRICS_RESTORED]


@pytest.mark.parametrize("reason", ["NoTraffic", "WarmingUp", "Backfilling"])
def test_a_product_without_traffic_has_not_lost_its_metrics(reason):
    assert last_found(lambda one: one.lose_metrics(reason)) == []


def test_the_start_of_a_product_has_no_message():
    told, product = Told(), ToldProduct(NOW)
    started, product.status = product.status, DataProductStatus()
    told.look(product.status)
    product.status = started
    for step in (
        lambda: product.lose_metrics("LowCoverage"),
        lambda: product.lose_metrics("NoTraffic"),
        product.find_metrics,
    ):
        product.now += 60
        step()
        assert told.look(product.status) == []


def test_an_outage_at_the_start_of_a_product_has_a_message():
    told, product = Told(), ToldProduct(NOW)
    product.lose_metrics("NoTraffic")
    told.look(product.status)
    product.lose_metrics("PrometheusUnavailable")
    assert [one.kind for one in told.look(product.status)] == [Kind.METRICS_LOST]


def test_metrics_are_restored_once_they_are_available_and_not_by_silence():
    told, product = Told(), ToldProduct(NOW)
    told.look(product.status)
    product.lose_metrics()
    told.look(product.status)
    product.lose_metrics("NoTraffic")
    assert told.look(product.status) == []
    product.find_metrics()
    assert [one.kind for one in told.look(product.status)] == [Kind.METRICS_RESTORED]


def test_a_loss_of_metrics_has_the_time_of_its_reason():
    told, product = Told(), ToldProduct(NOW)
    product.lose_metrics("NoTraffic")
    told.look(product.status)
    product.now += 600
    product.lose_metrics()
    product.status = product.status.replace(last_refresh_time=product.now)
    (lost,) = told.look(product.status)
    assert lost.time == NOW + 600


@pytest.mark.parametrize(
    ("steps", "now"),
    [
        ([], "Now: no remedy is under way"),
        ([ToldProduct.train], "Now: v1 is retrained (attempt 1)"),
        ([ToldProduct.start], "Now: v2 is in a rollout at 5 %"),
    ],
)
def test_a_degradation_says_what_the_operator_does_now(steps, now):
    found = last_found(*steps, ToldProduct.degrade)
    assert [one.message for one in found] == [f"accuracy is 0.81. {now}"]


def test_a_recovery_says_how_long_the_product_was_degraded_and_its_level_now():
    told, product = Told(), ToldProduct(NOW)
    product.degrade()
    told.look(product.status)
    product.now += 5400
    level = SloStatus(name="accuracy", state=SloState.MET, message="accuracy is at 91.7 %")
    product.status = product.status.replace(slos=(level,))
    product.recover()
    (recovered,) = told.look(product.status)
    assert recovered.message == "it was degraded for 90 min; accuracy is at 91.7 %"


def test_a_rollback_says_how_many_requests_the_version_had():
    told, product = Told(), ToldProduct(NOW)
    product.start()
    told.look(product.status)
    product.now += 35
    product.end()
    counts = ArmCounts(name="availability", candidate=Count(3, 48), stable=Count(0, 900))
    verdict = CanaryVerdict(
        type="Rollback", reason="CanaryWorse", weight=5, traffic_seconds=35, slos=(counts,)
    )
    past = product.status.history[0].replace(verdict=verdict)
    product.status = product.status.replace(history=(past, *product.status.history[1:]))
    (ended,) = told.look(product.status)
    assert ended.message.endswith(
        "It had up to 5 % of the traffic, for 35 s; 48 events of it were counted"
    )


def test_a_market_that_misses_an_slo_and_one_that_does_no_more_are_transitions():
    told, product = Told(), ToldProduct(NOW)
    told.look(product.status)
    market = MarketStatus(
        market="AT", state=SloState.MISSED, ratio="0.043", total=506, limit="0.88",
        interval=("0.029", "0.064"), missed_start_time=NOW,
    )  # fmt: skip
    level = SloStatus(name="accuracy", state=SloState.MET, markets=(market,))
    missed_there = Condition(
        type="MarketsMet", status="False", reason="MarketMissed", last_transition_time=NOW
    )
    conditions = (*product.status.conditions, missed_there)
    product.status = product.status.replace(slos=(level,), conditions=conditions)
    (missed,) = told.look(product.status)
    assert (missed.kind, missed.needs_person) == (Kind.MARKET_MISSED, True)
    assert missed.message == (
        f"accuracy is missed in AT since {rfc3339(NOW)} (4.3 %, n=506, 95 %: 2.9 % to 6.4 %; at least"
        " 88.0 % is required)"
    )
    product.status = product.status.replace(slos=(level.replace(markets=()),))
    assert [one.kind for one in told.look(product.status)] == [Kind.MARKET_MET]


def test_another_reason_to_stall_is_another_transition():
    (found,) = last_found(ToldProduct.stall, lambda one: one.stall("VersionReused"))
    assert (found.kind, found.reason) == (Kind.STALLED, "VersionReused")


def test_at_first_sight_what_lasts_is_news_and_what_has_happened_is_not():
    told, product = Told(), ToldProduct(NOW)
    for step in (product.start, product.promote, product.degrade, product.stall):
        product.now += 60
        step()
    assert [one.kind for one in told.look(product.status)] == [Kind.DEGRADED, Kind.STALLED]


def test_a_status_that_was_lost_and_rebuilt_says_nothing_twice():
    told, product = Told(), ToldProduct(NOW)
    for step in (product.start, product.promote, product.degrade):
        product.now += 60
        step()
    told.look(product.status)
    kept = product.status
    assert told.look(DataProductStatus()) == []
    assert told.look(kept.replace(history=())) == []
    assert told.look(kept) == []


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (None, ReviewCursor("ToReview"), Kind.REVIEW_DUE),
        (ReviewCursor("ToReview"), ReviewCursor("ToReview"), None),
        (ReviewCursor("ToReview"), ReviewCursor("ToReview", 1), Kind.REVIEW_SIGNED),
        (ReviewCursor("ToReview"), ReviewCursor("Overdue"), Kind.REVIEW_OVERDUE),
        (ReviewCursor("Overdue", 1), ReviewCursor("Reviewed", 2), Kind.REVIEW_CLOSED),
        (ReviewCursor("ToReview"), ReviewCursor("Skipped", 1), Kind.REVIEW_CLOSED),
        (None, ReviewCursor("NotStarted"), None),
    ],
)
def test_a_review_is_due_overdue_signed_and_closed(before, after, kind):
    found = review_transition("search-2026-11", before, after, ORIGIN, time=NOW)
    assert (found.kind if found else None) == kind


def test_a_cursor_of_thousands_fits_into_one_config_map():
    product = ToldProduct(NOW)
    for step in (product.start, product.promote, product.degrade, product.start, product.train):
        product.now += 60
        step()
    cursor = cursor_of(product.status, {}, Cursor(), "0a1b2c3d")
    key = "p.some-namespace.some-product-of-ours"
    assert 5000 * len(encode(cursor) + key) < 750_000


@pytest.mark.parametrize("text", ["", "[]", "17", '{"p":"yesterday"}', '{"v":{"a":3}}', '{"d":1}'])
def test_a_cursor_that_is_none_is_none(text):
    assert decode(text) is None


def test_each_kind_has_its_line_in_the_catalogue():
    assert CATALOGUE.keys() == set(Kind)
