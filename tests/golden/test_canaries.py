"""What a candidate shows beside stable, and what is decided about it, in each combination."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product as every
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.engine import OriginalBaseline
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.versions import VersionSource
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.canary.shadow_evidence import with_rows
from sluicegate.policy.canary.verdict import decide
from sluicegate.policy.model.decision import alert_key
from sluicegate.policy.model.observed import Facts
from sluicegate.slo.blocks import BlockValue, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.paired import Pairs
from tests.support.decisions.changes import plain
from tests.support.decisions.combinations import by_line, by_outcome, combined
from tests.support.decisions.judged import (
    CANARY,
    START,
    baseline,
    both_arms,
    candidate,
    judged_by,
    observed,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

if TYPE_CHECKING:
    from sluicegate.policy.model.terms import Terms

pytestmark = pytest.mark.slow

STEPS = {"steps": [5, 50]}
LONG = STEPS | {"maxDurationSeconds": 86_400}
FREE = {**ACCURACY, "canaryEvidence": "IfAvailable"}
LATER = {**ACCURACY, "canaryEvidence": "PostPromotion"}
MUST = {**ACCURACY, "canaryEvidence": "Required"}
LATENCY = {
    "name": "latency",
    "indicator": {"latency": {"thresholdMilliseconds": 250}},
    "objective": "0.9",
}
BASKET = {"name": "basket", "indicator": {"gauge": {"metric": "basket"}}, "maxDrop": "0.8"}
SHADOW = {"command": ["score"], "intervalSeconds": 3600}
ROUTE = {"parentRefs": [{"name": "web", "namespace": "gateway"}]}
TERMS = {
    "accuracy that must": judged_by(MUST, rollout=LONG),
    "two": judged_by(AVAILABILITY, FREE, rollout=STEPS, route=ROUTE),
    "three in an hour": judged_by(AVAILABILITY, LATENCY, FREE, rollout=STEPS | {"maxDurationSeconds": 3600}),
    "one for later": judged_by(AVAILABILITY, LATER, rollout=LONG | {"approval": "Manual"}),
    "nothing speaks": judged_by(LATER, rollout=LONG),
    "a gauge": judged_by(BASKET, AVAILABILITY, rollout=LONG),
    "a shadow": judged_by(AVAILABILITY, MUST, rollout=LONG | {"shadow": SHADOW}),
}  # fmt: skip
EQUAL = {
    "availability": (1, 1000),
    "latency": (20, 1000),
    "accuracy": (20, 200),
    CLIENT_ERRORS: (10, 1000),
}
ARMS: dict[str, dict[str, Any]] = {
    "equal": EQUAL,
    "better": EQUAL | {"accuracy": (10, 200)},
    "a little worse": EQUAL | {"accuracy": (22, 200)},
    "worse": EQUAL | {"accuracy": (30, 200)},
    "slow": EQUAL | {"latency": (60, 1000)},
    "refusing": EQUAL | {CLIENT_ERRORS: (40, 1000)},
    "without labels": {name: count for name, count in EQUAL.items() if name != "accuracy"},
    "with few": {name: (bad // 20, total // 20) for name, (bad, total) in EQUAL.items()},
    "without requests": dict.fromkeys(EQUAL, (0, 0)),
    "silent": {},
}
FACTS = {
    "as it is": Facts(),
    "unhealthy": Facts(canary_unhealthy=True),
    "lost": Facts(canary_lost="its node is gone"),
    "a busy node": Facts(canary_node_busy=True),
    "stable is down": Facts(stable_down=True),
    "not verified": Facts(split_verified=False),
}
TOLD = (Reason.AWAITING_APPROVAL, Reason.INSUFFICIENT_DATA)
ROWS = {
    "equal": Pairs(850, 50, 50, 50),
    "worse": Pairs(800, 30, 120, 50),
    "better": Pairs(850, 90, 10, 50),
}


def blocks(arm: str, number: int):
    """Return an hour before the rollout, then so many blocks of both; their gauges swing alike."""
    before = both_arms({}, EQUAL, 60, begin=START - 3600)
    since = both_arms(ARMS[arm], EQUAL, number)
    swing = [100 + index % 7 for index in range(number)]
    fall = {"better": 1.0, "worse": -1.0, "a little worse": -0.2}.get(arm, 0.0)
    pairs = [(value + fall + value % 3 / 10, value) for value in swing]
    return [
        *before,
        *(replace(one, gauges={"basket": pair}) for one, pair in zip(since, pairs, strict=True)),
    ]


def scored(terms, rows: str, one):
    """Return the candidate after three intervals of its shadow phase."""
    shadow = ShadowStatus(since_time=START)
    for number in range(1, 4):
        shadow = shadow.replace(until_time=START + 3600 * number)
        shadow = with_rows(
            terms, one.replace(shadow=shadow), shadow, {"accuracy": ROWS[rows], "no": ROWS[rows]}
        )
    return one.replace(shadow=shadow)


def status_of(terms, one, **engine):
    known = {slo.name: baseline(slo, 200, 2000) for slo in terms.slos if slo.name == "accuracy"}
    first = {name: base.replace(bad=170) for name, base in known.items()}
    original = OriginalBaseline(version="v0", slos=first) if first else None
    return serving(
        stable=stable(since=START - 86_400, **known),
        candidate=one,
        original_baseline=original,
        **engine,
    )


def judged(
    terms, one, read, *, facts=FACTS["as it is"], seconds=0, approved=False, forced=False, **engine
) -> str:
    status = status_of(terms, one, **engine)
    found = assess(terms, status, one, observed(read))
    made = decide(
        CanaryCase(
            terms,
            status,
            one,
            found,
            facts=facts,
            now=read[-1].end + seconds,
            approved=approved,
            forced=forced,
        )
    )
    known = {"reason", "message", "numbers", "leaving", "to", "candidate", "replaced"}
    more = {f.name: getattr(made, f.name) for f in fields(made) if f.name not in known}
    return (
        f"{made.type} {made.reason}: {made.message} {plain({k: v for k, v in more.items() if v})}"
    )


SAYINGS = (
    "blocks_promotion", "is_slow", "favours", "shows_better", "leans_against", "looks_worse", "is_against",
    "is_worse_in_shadow",
)  # fmt: skip


def says(slo: Any) -> list[str]:
    """Return the true flags of the evidence of a service level."""
    return [name for name in SAYINGS if getattr(slo, name, False)]


@pytest.mark.parametrize("name", TERMS)
def test_the_decision_on_a_candidate_equals_its_golden(name, golden):
    terms, outcomes = TERMS[name], {}
    for arm, weights, number in every(ARMS, ((5,), (5, 50)), (9, 70)):
        one = candidate(*weights, gap=120)
        if name == "a shadow" and number > 9:
            one = scored(terms, arm if arm in ROWS else "equal", one)
        read = blocks(arm, number)
        found = assess(terms, status_of(terms, one), one, observed(read))
        lists = {"slos", "gauges"}
        lines = [
            judged(terms, one, read),
            f"{plain([getattr(found, f.name) for f in fields(found) if f.name not in lists])}",
        ]
        evidence: list[Any] = [*found.slos, *found.gauges]
        for slo in evidence:
            names = ["dispersion" if f.name == "scatter" else f.name for f in fields(slo)]
            values = [getattr(slo, name) for name in names if name != "terms"]
            lines.append(f"{slo.terms.name} {plain(values)} {says(slo)}")
        resting = (
            found.required,
            found.promotion_evidence,
            found.favouring_slos,
            found.counted_gauges,
        )
        lines.append(f"{[[one.terms.name for one in several] for several in resting]}")
        outcomes[arm, f"{weights[-1]} %", f"{number} blocks"] = lines
    golden(f"canaries/{name.replace(' ', '-')}.txt", by_line(outcomes))


def test_facts_about_a_candidate_have_precedence_over_its_evidence(golden):
    def of(terms: Terms, facts: Facts, read: Any) -> str:
        return judged(terms, candidate(5, 50, gap=120), read, facts=facts)

    arms = {arm: blocks(arm, 20) for arm in ("equal", "slow", "worse", "silent")}
    golden("canaries/facts.txt", combined(of, TERMS, FACTS, arms))


def test_time_manual_requests_and_emitted_alerts_are_checked_last_for_a_candidate(golden):
    ways: dict[str, dict[str, Any]] = {
        "as it is": {},
        "approved": {"approved": True},
        "forced": {"approved": True, "forced": True},
        "late": {"seconds": 86_400 - 20 * CANARY - 1},
        "over": {"seconds": 86_400 - 20 * CANARY},
        "blind": {"seconds": 1799, "outage_start_time": START + 20 * CANARY},
        "blind for long": {"seconds": 1800, "outage_start_time": START + 20 * CANARY},
        "told": {"emitted_alerts": tuple(alert_key(one, "v2") for one in TOLD)},
    }

    def of(terms: Terms, way: Any, read: Any) -> str:
        ours = candidate(5, 50, gap=120, source=VersionSource.RETRAINING)
        return judged(terms, ours, read, **way)

    arms = {arm: blocks(arm, 20) for arm in ("equal", "better", "with few", "without requests")}
    golden("canaries/ways.txt", combined(of, TERMS, ways, arms))


def test_blocks_without_usable_data_hold_a_candidate(golden):
    outcomes = {}
    for quality, number, arm in every(Quality, (1, 9, 10, 11), ("whole", "candidate", "stable")):
        read = blocks("equal", 30)
        broken = {name: BlockValue(quality) for name in EQUAL}
        for place in range(len(read) - number, len(read)):
            change = {"quality": quality} if arm == "whole" else {arm: broken}
            read[place] = replace(read[place], **change)
        said = judged(TERMS["two"], candidate(5, 50, gap=120), read)
        outcomes[quality.name, f"in {number}", arm] = said
    golden("canaries/blocks.txt", by_outcome(outcomes))
