"""What a rollout takes where the spec leaves it out, by traffic and labels."""

from __future__ import annotations

from functools import cache
from itertools import product as every

import pytest

from sluicegate.api.versions import CandidatePhase, DerivedRollout
from sluicegate.policy.canary.pace import weekly_pace
from sluicegate.policy.canary.rollout_defaults import derive, of_current, of_next
from sluicegate.stats.paired import Pairs
from tests.support.decisions.changes import plain
from tests.support.decisions.judged import candidate, judged_by, observed, series, serving
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

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
    """What is counted of three days: requests of v1, labels of v1, and clicks of v2 as many."""
    requests, labels = TRAFFIC[traffic]
    answers = [(labels.get(index, 0) // 10, labels.get(index, 0)) for index in range(DAYS * DAY)]
    counted = {
        "availability": series(*[(0, requests)] * (DAYS * DAY)),
        "accuracy": series(*answers),
    }
    others = {"clicks": series(*answers[DAY:], first=DAY + 1)}
    return observed(block=DAYS * DAY, series={"v1": counted, "v2": others})


def test_what_is_left_out_follows_from_what_comes(golden):
    lines = []
    for slos, rollout, rows, traffic in every(SLOS, ROLLOUTS, ROWS, TRAFFIC):
        terms = judged_by(*SLOS[slos], rollout=ROLLOUTS[rollout] or None)
        found = derive(terms, read(traffic), ROWS[rows])
        told = [found.steps, found.max_duration_seconds, found.message]
        lines.append(f"{slos}, {rollout}, {rows}, {traffic}: {plain(told)}")
    golden("rollout_defaults/derived.txt", lines)


def test_the_pace_of_labels(golden):
    terms = judged_by(ACCURACY, CLICKS)
    paces = {
        f"{traffic}, {slo}": weekly_pace(terms, read(traffic), slo)
        for traffic, slo in every(TRAFFIC, ("accuracy", "clicks", "another"))
    }
    lines = [f"{name}: {one and plain(one)}" for name, one in paces.items()]
    golden("rollout_defaults/paces.txt", lines)


def test_a_rollout_keeps_what_it_began_with(golden):
    begun = {
        "with all": DerivedRollout(steps=(20,), max_duration_seconds=999),
        "with steps": DerivedRollout(steps=(20,)),
        "with a duration": DerivedRollout(max_duration_seconds=999),
        "with nothing": None,
    }
    lines = []
    for name, rollout, parked in every(begun, ROLLOUTS, (False, True)):
        terms = judged_by(ACCURACY, rollout=ROLLOUTS[rollout] or None)
        phase = CandidatePhase.PARKED if parked else CandidatePhase.STEPPING
        status = serving(candidate=candidate(5, derived=begun[name], phase=phase))
        seen = read("few")
        now, then = of_current(terms, status, seen), of_next(terms, seen)
        told = [now.steps, now.max_duration_seconds, then.steps, then.max_duration_seconds]
        lines.append(f"{name}, {rollout}, {phase}: {plain(told)}")
    assert of_current(terms, serving(), seen) == terms
    golden("rollout_defaults/kept.txt", lines)
