"""Markets for which a training was no remedy are not retrained for again by themselves."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import SloRecord
from sluicegate.api.versions import Release, VersionSource
from sluicegate.policy.retraining import tried_markets
from tests.support.decisions.judged import V1, candidate, judged_by, serving, stable
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by(ACCURACY)
DAY = TERMS.day_seconds
TRAINED = VersionSource.RETRAINING
RENEWAL = Release(V1.version, V1.image, "runtime:2")


def status(*, missed=()):
    """Return the stable version was trained for Austria, one before it for Belgium."""
    return serving(
        stable=stable().replace(cause_market="AT"),
        tried_markets=("BE",),
        slos={"accuracy": SloRecord(missed_markets=dict.fromkeys(missed, DAY))},
    )


@pytest.mark.parametrize(
    ("market", "since", "tried"),
    [
        ("AT", 600, True),
        ("BE", 600, True),
        ("FR", 600, False),
        ("AT", DAY, False),
    ],
    ids=[
        "it serves the version that was trained for it",
        "a version before was trained for it",
        "none was trained for it",
        "it met the SLO for a day of that version",
    ],
)
def test_a_market_missed_since_the_promotion_was_not_remedied_by_its_training(market, since, tried):
    assert tried_markets.is_tried(TERMS, status(), market, since) is tried


@pytest.mark.parametrize(
    ("made", "age", "missed", "kept"),
    [
        (candidate(source=TRAINED), DAY, ("AT", "BE", "FR"), ("AT", "BE")),
        (candidate(source=TRAINED), DAY, ("BE",), ("BE",)),
        (candidate(source=TRAINED), DAY - 1, (), ("AT", "BE")),
        (candidate(release=RENEWAL), DAY, ("AT",), ("AT",)),
        (candidate(), DAY, ("AT",), ()),
    ],
    ids=[
        "each market that is missed still",
        "not a market that the version remedied",
        "each market while the version is too young to show that it remedied it",
        "the same version in another runtime",
        "nothing of another model by spec.model",
    ],
)
def test_a_promotion_keeps_the_list_of_markets_without_a_remedy(made, age, missed, kept):
    assert tried_markets.tried_after_promotion(TERMS, status(missed=missed), made, age) == kept


def test_a_rolled_back_version_does_not_mark_its_market_as_tried():
    assert tried_markets.tried_after_rollback(TERMS, status(missed=("AT", "BE")), DAY) == ("BE",)
