from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.base import rfc3339
from sluicegate.api.engine import SloRecord
from sluicegate.api.names import ConditionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.api.status import Condition, DataProductStatus, Diagnosis
from sluicegate.api.verdict import ArmCounts, CanaryVerdict
from sluicegate.api.versions import CandidatePhase, PastVersion
from sluicegate.notify.catalogue import MESSAGE_CATALOGUE, Kind
from sluicegate.notify.cursor import Cursor, ReviewCursor, cursor_of, decode_cursor, encode_cursor
from sluicegate.notify.transitions import (
    Origin,
    Transition,
    numbered_transitions,
    remedy_of,
    review_transition,
    transitions_between,
)
from sluicegate.stats.counts import Count
from tests.support.portfolio.products import WHEN, product, waiting_for_approval
from tests.support.receivers.changing_product import ChangingProduct

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_700_000_000
ORIGIN = Origin("catalog", "search", "0f" * 16, owner="group:default/search", markets=("FR", "AT"))


class StatusReader:
    """One that reads statuses, and keeps the cursor alone."""

    def __init__(self) -> None:
        self.cursor: Cursor | None = None
        self.transitions: list[Transition] = []

    def read(self, status: DataProductStatus) -> list[Transition]:
        after = cursor_of(status, {}, self.cursor or Cursor(), "u")
        since = self.cursor or after.without_levels()
        found = numbered_transitions(transitions_between(since, after, status, ORIGIN), since)
        self.cursor = replace(after, count=since.count + len(found))
        self.transitions += found
        return found

    def restart(self) -> None:
        assert self.cursor is not None
        self.cursor = decode_cursor(encode_cursor(self.cursor))


@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=1, max_size=40))
def test_each_transition_is_detected_once_despite_restarts(seed, restarts):
    dice, reader, product = random.Random(seed), StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    expected = []
    for at, restart in enumerate(restarts, start=1):
        expected.append(product.step(dice, NOW + 60 * at))
        if restart:
            reader.restart()
        reader.read(product.status)
        assert reader.read(product.status) == [], "a status that says the same says nothing"
    assert [transition.kind for transition in reader.transitions] == expected
    assert len({transition.id for transition in reader.transitions}) == len(expected)


@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=1, max_size=40))
def test_missed_transitions_are_detected_as_far_as_status_records_them(seed, looks):
    """One that looks seldom finds each promotion, rollback and result that is still there."""
    dice, reader, occasional_reader, product = (
        random.Random(seed),
        StatusReader(),
        StatusReader(),
        ChangingProduct(NOW),
    )
    reader.read(product.status)
    occasional_reader.read(product.status)
    for at, is_read in enumerate(looks, start=1):
        product.step(dice, NOW + 60 * at)
        reader.read(product.status)
        if is_read:
            occasional_reader.read(product.status)
    occasional_reader.read(product.status)
    lasting = {Kind.PROMOTED, Kind.ROLLED_BACK}

    def of(found):
        return [(one.kind, one.version, one.time) for one in found if one.kind in lasting]

    # Its history has ten versions: of those in it none is missed, and none is found twice.
    newest = {past_version.end_time for past_version in product.status.history}
    shown = {one for one in of(reader.transitions) if one[2] in newest}
    assert shown <= set(of(occasional_reader.transitions))
    assert len(of(occasional_reader.transitions)) == len(set(of(occasional_reader.transitions)))
    assert set(of(occasional_reader.transitions)) <= set(of(reader.transitions))
    for event in ("promoted", "ended", "attempt", "result"):  # a level may be unknown by now
        assert getattr(occasional_reader.cursor, event) == getattr(reader.cursor, event)


def last_found(*steps: Callable[[ChangingProduct], Kind]) -> list[Transition]:
    """What is found after the last of these steps; they come a minute apart, and each is seen."""
    reader, product = StatusReader(), ChangingProduct(NOW)
    found = reader.read(product.status)
    for step in steps:
        product.now += 60
        step(product)
        found = reader.read(product.status)
    return found


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.FAILED, Kind.RETRAINING_FAILED),
        (Outcome.REJECTED, Kind.RETRAINING_REJECTED),
        (Outcome.IN_PROGRESS, Kind.RETRAINING_FINISHED),
    ],
)
def test_the_result_of_a_training_is_detected_with_its_message(outcome, kind):
    (found,) = last_found(ChangingProduct.train, lambda one: one.train_out(outcome))
    assert (found.kind, found.message) == (kind, "Traceback: no data")


def test_a_promotion_has_the_numbers_of_its_decision():
    (found,) = last_found(ChangingProduct.start, ChangingProduct.promote)
    assert found.decision == {
        "type": "Promote", "reason": "CanaryNotWorse",
        "message": "32 bad of 4,000, stable 30 of 4,000", "decisionTime": "2023-11-14T22:15:20Z",
    }  # fmt: skip


def test_while_nothing_can_be_measured_a_product_stays_degraded():
    steps = [ChangingProduct.degrade, ChangingProduct.lose_metrics]
    assert [one.kind for one in last_found(*steps)] == [Kind.METRICS_LOST]
    found = last_found(*steps, lambda one: one.find_metrics(degraded=True))
    assert [one.kind for one in found] == [Kind.METRICS_RESTORED]


@pytest.mark.parametrize("reason", ["NoTraffic", "WarmingUp", "Backfilling"])
def test_a_product_without_traffic_has_not_lost_its_metrics(reason):
    assert last_found(lambda one: one.lose_metrics(reason)) == []


def test_the_start_of_a_product_sends_no_message():
    reader, product = StatusReader(), ChangingProduct(NOW)
    started, product.status = product.status, DataProductStatus()
    reader.read(product.status)
    product.status = started
    for step in (
        lambda: product.lose_metrics("LowCoverage"),
        lambda: product.lose_metrics("NoTraffic"),
        product.find_metrics,
    ):
        product.now += 60
        step()
        assert reader.read(product.status) == []


def test_an_outage_at_the_start_of_a_product_sends_a_message():
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.lose_metrics("NoTraffic")
    reader.read(product.status)
    product.lose_metrics("PrometheusUnavailable")
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.METRICS_LOST]


def test_the_metrics_restored_message_requires_available_metrics():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    product.lose_metrics()
    reader.read(product.status)
    product.lose_metrics("NoTraffic")
    assert reader.read(product.status) == []
    product.find_metrics()
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.METRICS_RESTORED]


def test_a_metrics_lost_message_has_the_time_of_its_condition():
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.lose_metrics("NoTraffic")
    reader.read(product.status)
    product.now += 600
    product.lose_metrics()
    product.status = product.status.replace(last_refresh_time=product.now)
    (lost,) = reader.read(product.status)
    assert lost.time == NOW + 600


@pytest.mark.parametrize(
    ("steps", "now"),
    [
        ([], "no remedy is under way"),
        ([ChangingProduct.train], "v1 is retrained (attempt 1)"),
        ([ChangingProduct.start], "v2 is in a rollout at 5 % of the traffic"),
    ],
)
def test_a_degradation_message_names_the_current_action_of_the_operator(steps, now):
    found = last_found(*steps, ChangingProduct.degrade)
    assert [(one.message, one.now) for one in found] == [("accuracy is 0.81", now)]


def test_a_degradation_message_names_a_rollback():
    product = ChangingProduct(NOW)
    product.start()
    product.status = product.status.with_candidate(phase=CandidatePhase.ROLLING_BACK)
    assert remedy_of(product.status) == "v2 is rolled back"


def test_a_degradation_message_states_that_the_operator_waits_for_the_upstream():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    product.degrade("UpstreamDegraded")
    cause = Diagnosis(cause="UpstreamDegraded", diagnosis_time=NOW)
    product.status = product.status.replace(diagnosis=cause)
    (found,) = reader.read(product.status)
    assert found.now.endswith("waits until the product that it calls has recovered")


def test_the_start_of_a_new_stable_version_sends_no_message_and_its_outage_does():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    for step in (product.start, product.promote):
        product.now += 600
        step()
        reader.read(product.status)
    product.now += 10
    product.lose_metrics("NoData")
    assert reader.read(product.status) == []
    product.find_metrics()
    assert reader.read(product.status) == []
    product.now += 600
    product.lose_metrics("NoData")
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.METRICS_LOST]


def test_a_version_without_data_beyond_the_start_time_sends_an_unmeasured_message():
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.lose_metrics("NoData")
    assert reader.read(product.status) == []
    product.status = product.status.replace(last_refresh_time=NOW + 3660)
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.METRICS_LOST]


@pytest.mark.parametrize(
    ("begin", "end", "text"),
    [
        (ChangingProduct.lose_metrics, ChangingProduct.find_metrics, "It could not be measured (PrometheusUnavailable) for 8 min"),
        (ChangingProduct.stall, ChangingProduct.unstall, "It was stalled (InvalidSpec) for 8 min"),
    ],
)  # fmt: skip
def test_the_end_of_a_state_sends_its_duration(begin, end, text):
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    product.now += 60
    begin(product)
    reader.read(product.status)
    reader.restart()
    product.now += 480
    end(product)
    product.status = product.status.replace(last_refresh_time=product.now)
    (found,) = reader.read(product.status)
    assert found.message == text


def test_a_recovery_message_has_the_duration_of_the_degradation_and_the_current_level():
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.degrade()
    reader.read(product.status)
    product.now += 5400
    level = SloStatus(name="accuracy", state=SloState.MET, message="accuracy is at 91.7 %")
    product.status = product.status.replace(slos=(level,))
    product.recover()
    (recovered,) = reader.read(product.status)
    assert recovered.message == "It was degraded for 90 min; accuracy is at 91.7 %"


def test_a_recovery_is_sent_once_the_slo_that_was_missed_is_measured_again():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    product.degrade()
    product.status = product.status.replace(
        slos=(SloStatus(name="accuracy", state=SloState.MISSED),)
    )
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.DEGRADED]
    product.now += 90
    product.recover()
    for state, sent in ((SloState.UNKNOWN, []), (SloState.MET, [Kind.RECOVERED])):
        product.status = product.status.replace(slos=(SloStatus(name="accuracy", state=state),))
        assert [reading.kind for reading in reader.read(product.status)] == sent


def test_a_restored_version_that_is_degraded_too_sends_a_second_message():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    missed, unknown = (
        (SloStatus(name="accuracy", state=state),) for state in (SloState.MISSED, SloState.UNKNOWN)
    )
    product.degrade()
    product.status = product.status.replace(slos=missed)
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.DEGRADED]
    product.now += 60
    restored = product.status.stable.replace(restored=True, promotion_time=product.now)
    product.recover()
    product.status = product.status.replace(stable=restored, slos=unknown)
    assert [reading.kind for reading in reader.read(product.status)] == []
    product.now += 60
    product.degrade()
    product.status = product.status.replace(slos=missed)
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.DEGRADED]
    assert reader.read(product.status) == []


def test_a_rollback_message_has_the_number_of_requests_of_the_version():
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.start()
    reader.read(product.status)
    product.now += 35
    product.end()
    counts = ArmCounts(name="availability", candidate=Count(3, 48), stable=Count(0, 900))
    verdict = CanaryVerdict(
        type="Rollback", reason="CanaryWorse", weight=5, traffic_seconds=35, slos=(counts,)
    )
    past = product.status.history[0].replace(verdict=verdict)
    product.status = product.status.replace(history=(past, *product.status.history[1:]))
    (ended,) = reader.read(product.status)
    assert ended.message.endswith(
        "It had up to 5 % of the traffic, for 35 s; 48 events of it were counted"
    )


MISSED: Final = Condition(
    type="MarketsMet", status="False", reason="MarketMissed", last_transition_time=NOW
)
MET: Final = Condition(
    type="MarketsMet", status="True", reason="AllMet", last_transition_time=NOW + 7200
)


def market(name: str) -> MarketStatus:
    return MarketStatus(
        market=name, state=SloState.MISSED, ratio="0.043", total=506, limit="0.88",
        interval=("0.029", "0.064"), missed_start_time=NOW,
    )  # fmt: skip


def missing_in(
    status: DataProductStatus, *names: str, shown: int = 3, condition: Condition | None = MISSED
) -> DataProductStatus:
    """The status of a product whose accuracy is missed in these markets, the worst first."""
    level = SloStatus(
        name="accuracy", state=SloState.MET, markets=tuple(map(market, names[:shown]))
    )
    others = tuple(condition for condition in status.conditions if condition.type != "MarketsMet")
    record = SloRecord(missed_markets=dict.fromkeys(names, NOW))
    return status.replace(
        slos=(level,),
        conditions=(*others, condition) if condition else others,
        last_refresh_time=NOW + 7200,
    ).with_engine(slos={"accuracy": record})


def test_a_market_that_misses_an_slo_and_its_recovery_are_transitions():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    (missed,) = reader.read(missing_in(product.status, "AT"))
    assert (missed.kind, missed.needs_person) == (Kind.MARKET_MISSED, True)
    assert missed.message == (
        f"accuracy is missed in AT since {rfc3339(NOW)} (4.3 %, n=506, 95 %: 2.9 % to 6.4 %; at least"
        " 88.0 % is required)"
    )
    (met,) = reader.read(missing_in(product.status, condition=MET))
    assert (met.kind, met.message) == (Kind.MARKET_MET, "accuracy in AT was missed for 2 h")


def test_a_missed_market_without_numbers_in_status_is_sent_once():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    (missed,) = reader.read(missing_in(product.status, "AT", "BE", "DE", "ES", "FR"))
    assert missed.message.endswith(" is required) and 2 more")
    assert reader.read(missing_in(product.status, "FR", "ES", "AT", "BE", "DE")) == []
    (another,) = reader.read(missing_in(product.status, "FR", "ES", "AT", "BE", "DE", "GB"))
    assert another.message.endswith(" and 3 more")


@pytest.mark.parametrize(
    ("sentence", "change"),
    [
        (
            "nothing follows from it any more",
            lambda status: missing_in(status, "AT", shown=0, condition=None),
        ),
        (
            "nothing follows from it any more, and another SLO is followed",
            lambda status: missing_in(status, "AT", shown=0, condition=MET),
        ),
        (
            "the SLO is another one",
            lambda status: missing_in(status, condition=MET).with_engine(
                slos={"accuracy": SloRecord(since=NOW + 3600)}
            ),
        ),
        ("the SLO is gone", lambda status: missing_in(status, condition=MET).replace(slos=())),
        ("no market is judged", lambda status: missing_in(status, condition=None)),
    ],
)
def test_a_market_of_an_unjudged_slo_is_no_recovery(sentence, change):
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    reader.read(missing_in(product.status, "AT"))
    assert reader.read(change(product.status)) == [], sentence


def test_a_market_removed_from_the_spec_is_no_recovery():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    reader.read(missing_in(product.status, "GB"))  # it isn't among the product's markets
    assert reader.read(missing_in(product.status, condition=MET)) == []


def test_a_changed_stalled_reason_is_a_new_transition():
    (found,) = last_found(ChangingProduct.stall, lambda one: one.stall("VersionReused"))
    assert (found.kind, found.reason) == (Kind.STALLED, "VersionReused")


def test_the_first_observation_sends_lasting_states_and_no_past_events():
    reader, product = StatusReader(), ChangingProduct(NOW)
    for step in (product.start, product.promote, product.degrade, product.stall):
        product.now += 60
        step()
    assert [reading.kind for reading in reader.read(product.status)] == [
        Kind.DEGRADED,
        Kind.STALLED,
    ]


def test_a_rebuilt_status_repeats_no_message():
    reader, product = StatusReader(), ChangingProduct(NOW)
    for step in (product.start, product.promote, product.degrade):
        product.now += 60
        step()
    reader.read(product.status)
    kept = product.status
    assert reader.read(DataProductStatus()) == []
    assert reader.read(kept.replace(history=())) == []
    assert reader.read(kept) == []


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
def test_a_review_has_due_overdue_signed_and_closed_transitions(before, after, kind):
    found = review_transition("search-2026-11", before, after, ORIGIN, time=NOW)
    assert (found.kind if found else None) == kind


def test_a_cursor_of_thousands_of_products_fits_into_one_config_map():
    product = ChangingProduct(NOW)
    for step in (product.start, product.promote, product.degrade, product.start, product.train):
        product.now += 60
        step()
    cursor = cursor_of(product.status, {}, Cursor(), "0a1b2c3d")
    key = "p.some-namespace.some-product-of-ours"
    assert 5000 * len(encode_cursor(cursor) + key) < 750_000


@pytest.mark.parametrize("text", ["", "[]", "17", '{"p":"yesterday"}', '{"v":{"a":3}}', '{"d":1}'])
def test_a_malformed_cursor_counts_as_absent(text):
    assert decode_cursor(text) is None


def test_each_message_kind_has_an_entry_in_the_catalogue():
    assert MESSAGE_CATALOGUE.keys() == set(Kind)


def test_a_stalled_unready_product_is_reported_as_ready_only_when_it_serves():
    reader, product = StatusReader(), ChangingProduct(NOW)
    reader.read(product.status)
    product._condition(ConditionType.READY, "False", "RouteNotAccepted", "no Gateway")
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.UNREADY]
    product.stall("ModelRejected")
    assert reader.read(product.status) == []
    product.now += 600
    product._condition(ConditionType.READY, "True", "Serving", "v1 serves")
    assert [reading.kind for reading in reader.read(product.status)] == [Kind.READY]


def test_retries_of_a_long_rollout_are_sent_at_growing_intervals():
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.start()
    reader.read(product.status)
    sent = []
    for retries in range(1, 20):
        product.status = product.status.with_candidate(retries=retries)
        sent += [
            retries for reading in reader.read(product.status) if reading.kind is Kind.ROLLOUT_WAITS
        ]
    assert sent == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"next_allowed_time": NOW + 600},
            "the pause before the next training ends by " + rfc3339(NOW + 600),
        ),
        ({"suspended": True}, "no training starts by itself"),
        ({}, ""),
    ],
)
def test_a_training_failed_message_has_the_earliest_next_start(fields, text):
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.train()
    reader.read(product.status)
    product.train_out()
    assert product.status.retraining
    product.status = product.status.replace(retraining=product.status.retraining.replace(**fields))
    found = next(
        reading for reading in reader.read(product.status) if reading.kind is Kind.RETRAINING_FAILED
    )
    assert found.now.endswith(text)
    assert bool(found.now) == bool(text)


def test_a_failed_rollback_message_has_the_text_of_its_need():
    reader, product = StatusReader(), ChangingProduct(NOW)
    product.start()
    reader.read(product.status)
    assert product.status.candidate
    past = PastVersion(
        **product.status.candidate.identity_fields, outcome=Outcome.FAILED, end_time=NOW + 60
    )
    product.status = product.status.replace(candidate=None, history=(past,))
    product._condition(
        ConditionType.ROLLOUT_PROGRESSING, "False", "ReturnFailed", "the rollback to v1 failed"
    )
    (found,) = reader.read(product.status)
    assert (found.kind, found.message) == (Kind.ROLLBACK_FAILED, "the rollback to v1 failed")


def test_a_request_for_several_answers_has_the_command_of_each_party():
    reader, asked = StatusReader(), waiting_for_approval()
    reader.read(product(status={}).status)
    asked["candidate"]["approvals"] = {
        "id": "0-1", "waitStartTime": WHEN, "waitingFor": ["RiskOfficer", "shop/labels"],
    }  # fmt: skip
    found = reader.read(product(status=asked).status)
    (request,) = [one for one in found if one.kind is Kind.APPROVAL_REQUESTED]
    approve = "kubectl sluicegate approve catalog/search v15 --for"
    assert request.message.endswith(
        f"\nAs RiskOfficer: {approve} RiskOfficer\nAs shop/labels: {approve} shop/labels"
    )
