"""The words of states, which each reader of a product has from one table."""

from __future__ import annotations

from sluicegate.api.engine import ProductState
from sluicegate.api.names import DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.review import ReviewState
from sluicegate.api.slo_status import SloState
from sluicegate.views.words import CAUSES, STATES, Tone, has_ended, label, tone_of


def test_each_state_of_products_slos_and_reviews_has_a_display_word():
    states = {*ProductState, *SloState, *ReviewState}
    assert {str(state) for state in states} <= STATES.keys()


def test_a_failed_version_is_displayed_in_the_failure_colour():
    assert tone_of(Outcome.ROLLED_BACK) is Tone.BAD
    assert tone_of(Outcome.PROMOTED) is Tone.GOOD


def test_an_unknown_state_is_displayed_unchanged_without_a_colour():
    assert (tone_of("Restored"), label("Restored")) == (Tone.NONE, "Restored")


def test_a_state_of_two_words_is_written_as_two():
    assert label("AtRisk") == "At risk"


def test_each_cause_of_a_degradation_is_a_reason_of_decisions():
    assert {str(reason) for reason in DecisionReason} >= CAUSES


def test_a_degradation_has_not_ended_while_a_market_of_a_healthy_product_is_missed():
    decision = ("Retrain", "ModelDecay", "Healthy")
    assert has_ended(*decision, has_missed_market=False)
    assert not has_ended(*decision, has_missed_market=True)
