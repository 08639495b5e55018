"""The words of states, which each reader of a product has from one table."""

from __future__ import annotations

from sluicegate.api.engine import ProductState
from sluicegate.api.outcome import Outcome
from sluicegate.api.review import ReviewState
from sluicegate.api.slo_status import SloState
from sluicegate.views.words import STATES, Tone, label, tone


def test_each_state_of_a_product_an_slo_and_a_review_has_a_word():
    states = {*ProductState, *SloState, *ReviewState}
    assert {str(state) for state in states} <= STATES.keys()


def test_a_version_that_failed_has_the_tone_of_a_failure():
    assert tone(Outcome.ROLLED_BACK) is Tone.BAD
    assert tone(Outcome.PROMOTED) is Tone.GOOD


def test_a_word_that_is_no_state_has_no_tone_and_stays_as_it_is():
    assert (tone("Restored"), label("Restored")) == (Tone.NONE, "Restored")


def test_a_state_of_two_words_is_written_as_two():
    assert label("AtRisk") == "At risk"
