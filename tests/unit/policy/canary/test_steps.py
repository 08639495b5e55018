"""Which of the default steps a rollout takes, by the requests that come."""

from __future__ import annotations

import pytest

from sluicegate.policy.canary.steps import fitted
from tests.support.decisions.judged import judged_by, observed, series
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

BLOCKS = 24


def steps(requests, **rollout):
    """The steps of a product whose version has had so many requests in each block of two hours."""
    terms = judged_by(AVAILABILITY, ACCURACY, rollout=rollout)
    by_slo = {
        "availability": series(*[(0, requests)] * BLOCKS),
        "accuracy": series(*[(0, requests // 2)] * BLOCKS),
    }
    return fitted(terms, observed(block=BLOCKS, series={"v1": by_slo})).steps


@pytest.mark.parametrize(
    ("requests", "taken"), [(334, (5, 25, 50)), (333, (25, 50)), (66, (50,)), (1, (50,))]
)
def test_a_step_is_taken_that_shows_fifty_requests_within_a_quarter_of_an_hour(requests, taken):
    assert steps(requests) == taken


def test_where_no_request_is_known_no_step_is_left_out():
    assert steps(0) == (5, 25, 50)


def test_what_a_person_chose_is_taken_as_it_is():
    assert steps(1, steps=[10, 20]) == (10, 20)
