"""What a rollout takes where the spec leaves it out, by traffic and labels."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.versions import CandidatePhase, DerivedRollout
from sluicegate.policy.canary.label_pace import weekly_pace
from sluicegate.policy.canary.rollout_defaults import (
    derive_rollout,
    terms_for_current,
    terms_for_next,
)
from sluicegate.stats.paired import Pairs
from tests.support.decisions.changes import plain
from tests.support.decisions.combinations import combined
from tests.support.decisions.judged import candidate, judged_by, observed, series, serving
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

if TYPE_CHECKING:
    from sluicegate.policy.model.observed import Observed

pytestmark = pytest.mark.slow

CLICKS = {
    "name": "clicks",
    "indicator": {"counters": {"good": "a", "total": "b", "lagSeconds": 1800}},
    "maxDrop": "0.05",
}
SLOS = {
    "accuracy": (ACCURACY,),
    "accuracy and availability": (AVAILABILITY, ACCURACY),
    "accuracy and clicks": (ACCURACY, CLICKS),
}
SHADOW = {"intervalSeconds": 3600}
ROLLOUTS = {
    "all left out": {},
    "steps": {"steps": [10, 50]},
    "a duration": {"maxDurationSeconds": 600},
    "a shadow": {"shadow": SHADOW | {"command": ["score"]}},
    "a mirror": {"shadow": SHADOW | {"mirror": {"percent": 50}}},
}
ROWS = {"no rows": {}, "rows": {"accuracy": Pairs(1700, 60, 60, 180)}}
DAYS, DAY = 3, 288
TRAFFIC = {
    "nothing": (0, {}),
    "few": (5, dict.fromkeys(range(0, DAYS * DAY, 7), 12)),
    "a batch a day": (40, dict.fromkeys(range(100, DAYS * DAY, DAY), 2000)),
    "many": (3000, dict.fromkeys(range(DAYS * DAY), 400)),
}
"""Requests a block, and labels by block."""


@cache
def read(traffic: str):
    """Return the counts of three days: requests of v1, labels of v1, and as many clicks of v2."""
    requests, labels = TRAFFIC[traffic]
    answers = [(labels.get(index, 0) // 10, labels.get(index, 0)) for index in range(DAYS * DAY)]
    counted = {
        "availability": series(*[(0, requests)] * (DAYS * DAY)),
        "accuracy": series(*answers),
    }
    others = {"clicks": series(*answers[DAY:], first=DAY + 1)}
    return observed(block=DAYS * DAY, series={"v1": counted, "v2": others})


def reads() -> dict[str, Observed]:
    return {traffic: read(traffic) for traffic in TRAFFIC}


def test_omitted_rollout_fields_are_derived_from_the_traffic(golden):
    def of(slos: Any, rollout: Any, rows: Any, seen: Observed) -> str:
        found = derive_rollout(judged_by(*slos, rollout=rollout or None), seen, rows)
        return str(plain([found.steps, found.max_duration_seconds, found.message]))

    golden("rollout_defaults/derived.txt", combined(of, SLOS, ROLLOUTS, ROWS, reads()))


def test_the_label_rates_of_batches_and_streams_equal_their_golden(golden):
    terms = judged_by(ACCURACY, CLICKS)

    def of(seen: Observed, slo: str) -> str:
        pace = weekly_pace(terms, seen, slo)
        return str(pace and plain(pace))

    slos = {name: name for name in ("accuracy", "clicks", "another")}
    golden("rollout_defaults/paces.txt", combined(of, reads(), slos))


def test_a_rollout_keeps_the_defaults_derived_at_its_start(golden):
    begun = {
        "with all": DerivedRollout(steps=(20,), max_duration_seconds=999),
        "with steps": DerivedRollout(steps=(20,)),
        "with a duration": DerivedRollout(max_duration_seconds=999),
        "with nothing": None,
    }
    seen = read("few")

    def of(given: Any, rollout: Any, phase: CandidatePhase) -> str:
        terms = judged_by(ACCURACY, rollout=rollout or None)
        assert terms_for_current(terms, serving(), seen) == terms
        status = serving(candidate=candidate(5, derived=given, phase=phase))
        now, then = terms_for_current(terms, status, seen), terms_for_next(terms, seen)
        told = [now.steps, now.max_duration_seconds, then.steps, then.max_duration_seconds]
        return str(plain(told))

    phases = {one.value: one for one in (CandidatePhase.STEPPING, CandidatePhase.PARKED)}
    golden("rollout_defaults/kept.txt", combined(of, begun, ROLLOUTS, phases))
