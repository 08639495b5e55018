"""What is done about a degraded SLO, in each combination of what it depends on."""

from __future__ import annotations

from functools import cache
from itertools import product as every
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.engine import SloRecord, Streak
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.slo_status import SloState
from sluicegate.api.slos import OnDegraded
from sluicegate.api.versions import PastVersion, Probation, VersionSource
from sluicegate.policy.diagnosis.remedy import remedies_for, trigger_for, waiting
from sluicegate.policy.model.decision import alert_key
from sluicegate.policy.model.observed import Facts
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.means import Means
from tests.support.decisions.combinations import by_outcome
from tests.support.decisions.judged import (
    BLOCK,
    START,
    V2,
    baseline,
    judged_by,
    observed,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluicegate.policy.model.terms import Terms

pytestmark = pytest.mark.slow

DAY = 86_400
NOW = START + 24 * BLOCK
LAST = START // BLOCK + 23
SLOS = {
    "accuracy": {**ACCURACY, "objective": "0.8"},
    "availability": {"name": "availability", "indicator": {"availability": {}}, "objective": "0.8"},
    "basket": {"name": "basket", "indicator": {"gauge": {"metric": "basket", "bound": "80"}}, "maxDrop": "4"},
}  # fmt: skip
STREAK = Streak(first=LAST - 5, last=LAST, evaluations=6, fresh=6)
PROBATIONS = {
    "off probation": (None, None),
    "on probation": ((), None),
    "as before": ((), True),
    "worse than before": ((), False),
    "shown better": (("accuracy", "basket"), None),
}
BEFORES = {
    "nothing before": None,
    "a better one before": (50, (), 100.0),
    "a worse one before": (900, (), 60.0),
    "a withdrawn one before": (50, (), 100.0),
    "one as degraded before": (None, ("accuracy", "availability", "basket"), None),
}
AGES = {"young": DAY - 1, "a day old": DAY}


def test_a_remedy_is_chosen_as_its_golden_says(golden):
    wishes = {wish: wish for wish in OnDegraded if wish is not OnDegraded.IGNORE}
    tables = (SLOS, wishes, AGES, PROBATIONS, BEFORES)
    golden("remedies/chosen.txt", by_outcome({one: remedy(*one) for one in every(*tables)}))


def test_what_was_trained_what_was_told_and_what_is_outside(golden):
    befores = ("a better one before", "a worse one before")
    outcomes = {
        (said, source, tried, before): remedy(
            "accuracy", OnDegraded.AUTO, "young", tried, before, source=source, **VARIANTS[said]
        )
        for said, source, tried, before in every(VARIANTS, VersionSource, PROBATIONS, befores)
    }
    golden("remedies/variants.txt", by_outcome(outcomes))


VARIANTS = {
    "as it is": {},
    "all was told": {"told": tuple(Reason)},
    "upstream": {"facts": Facts(upstream_degraded=("pricing",))},
    "unknown": {"state": SloState.UNKNOWN},
    "silent": {"labels": 0},
    "recovered": {"bad": 50},
    "worse on probation": {"probation": True},
    "a block without events": {"fresh": False},
}


@cache
def terms_with(name, wish) -> Terms:
    return judged_by({**SLOS[name], "onDegraded": wish})


def remedy(name, wish, age, tried, before, **given) -> str:
    """The decision about the SLO of this name, after the numbers, and the training that waits."""
    terms = terms_with(name, wish)
    (slo,) = terms.slos
    shown, as_before = PROBATIONS[tried]
    status = serving(
        stable=stable(since=NOW - AGES[age]).replace(source=given.get("source", VersionSource.SPEC)),
        history=tuple(past(slo, before)),
        probation=None
        if shown is None
        else Probation(version="v1", against="v2", start_time=START, shown_better=shown),
        slos={name: SloRecord(degraded=True, streak=STREAK, since=NOW - DAY)},
    )  # fmt: skip
    need = trigger_for(terms, status, name)
    told = tuple(alert_key(reason, need) for reason in given.get("told", ()))
    status = status.with_engine(emitted_alerts=told)
    result = SloResult(
        slo,
        given.get("state", SloState.MISSED),
        Reason.OBJECTIVE_MISSED,
        baseline=baseline(slo, 100, 1000, mean=100.0, deviation=2.0),
        fresh=given.get("fresh", True),
        probation=given.get("probation", False),
        as_before=as_before,
        gauge=70.0 if slo.gauge else None,
    )
    labels = given.get("labels", 1000)
    counts = series(*[(min(given.get("bad", 800), labels), labels)] * 24, first=START // BLOCK)
    values = Means((START // BLOCK + place, 70.0) for place in range(24))
    read = observed(
        block=LAST,
        series={"v1": {} if slo.gauge else {name: counts}},
        gauges={"v1": {name: values}},
        facts=given.get("facts", Facts()),
    )
    remedies = remedies_for(terms, status, read, (result,), now=NOW)
    ((found, _),) = remedies
    text = found.message.partition("; ")[2].replace(need, "<need>")
    waits = waiting(terms, status, remedies)
    return f"{found.type} {found.reason}: {text}" + (f" [{waits.reason}]" if waits else "")


def past(slo, before) -> Iterator[PastVersion]:
    if kept := BEFORES[before]:
        bad, degraded, mean = kept
        known = (
            {} if mean is None else {slo.name: baseline(slo, 100, 1000, mean=mean, deviation=2.0)}
        )
        yield PastVersion.of(
            V2,
            VersionSource.SPEC,
            outcome=Outcome.ROLLED_BACK if "withdrawn" in before else Outcome.REPLACED,
            promotion_time=0,
            end_time=START,
            record={} if bad is None or slo.gauge else {slo.name: {"bad": bad, "total": 1000}},
            degraded=degraded,
            baseline=known,
        )  # fmt: skip
