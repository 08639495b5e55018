"""What each kind of service level shows of a history, by what it was accepted with."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from itertools import product as every
from typing import Any

import pytest

from sluicegate.api.baseline import BaselineSource
from sluicegate.api.engine import SloRecord, TimeInterval
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import Probation
from sluicegate.policy.diagnosis.symptoms import load_now, present_now
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.messages import describe, numbers_of
from sluicegate.policy.slo_health.ratio_slo import is_suspected
from sluicegate.policy.slo_health.visibility import describe_visibility, visibility
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.slo.means import Means
from sluicegate.stats.counts import Count
from tests.support.decisions.changes import changes, plain
from tests.support.decisions.combinations import by_line
from tests.support.decisions.judged import BLOCK, baseline, judged_by, observed, serving, stable
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, LATENCY

pytestmark = pytest.mark.slow

NEWEST = 12 * 30 + 5
GAUGE = {"metric": "basket"}
SLOS: dict[str, dict[str, Any]] = {
    "availability": AVAILABILITY,
    "latency": LATENCY,
    "accuracy": ACCURACY,
    "a drop alone": {**ACCURACY, "objective": None},
    "weekly": {**ACCURACY, "seasonality": "Weekly"},
    "late": {
        "name": "accuracy",
        "indicator": {"events": {"lagSeconds": 3600}},
        "objective": "0.8",
        "maxDrop": "0.03",
    },
    "a gauge": {"name": "basket", "indicator": {"gauge": GAUGE}, "maxDrop": "4"},
    "a bound": {"name": "basket", "indicator": {"gauge": GAUGE | {"bound": "80"}}},
    "a low one": {
        "name": "basket",
        "indicator": {"gauge": GAUGE | {"direction": "LowerIsBetter", "bound": "120"}},
        "maxDrop": "4",
    },
}
USUAL = {"availability": (1200, 0.0005), "latency": (1200, 0.005)}
HISTORIES = {
    "fine": lambda index: (1, 1),
    "a little worse": lambda index: (1, 1 if index < 100 else 1.4),
    "bad for an hour": lambda index: (1, 1 if index < NEWEST - 11 else 4),
    "bad for three blocks": lambda index: (1, 1 if index < NEWEST - 2 else 30),
    "bad for long": lambda index: (1, 1 if index < 100 else 4),
    "over": lambda index: (1, 4 if 250 <= index < NEWEST - 24 else 1),
    "few": lambda index: (0.02, 1 if index < 100 else 4),
    "more and more": lambda index: (5 if index > NEWEST - 20 else 1, 1),
    "silent": lambda index: (1 if index < NEWEST - 3 else 0, 1),
    "gone for hours": lambda index: (1 if index < NEWEST - 40 else 0, 1),
    "nothing": lambda index: (0, 1),
}
ACCEPTED = {
    "nothing": None,
    "a hold-out": (500, False, False),
    "production": (40_000, True, False),
    "production by the day": (40_000, True, True),
}
BY_THE_DAY = {"accuracy", "weekly", "a gauge"}
ON_PROBATION = {"accuracy", "availability"}
OTHERS = {
    "young": {"since": NEWEST - 2},
    "not so young": {"since": NEWEST - 20},
    "unread": {"problem": Reason.PROMETHEUS_STALE},
    "unread alone": {"problems": True},
    "low coverage": {"newest": Quality.LOW_COVERAGE},
    "no series": {"newest": Quality.NO_SERIES},
    "no counts": {"newest": Quality.INVALID},
    "degraded": {"record": {"degraded": True}},
    "edited": {"record": {"since": (NEWEST - 10) * BLOCK}},
    "disturbed": {"record": {"disturbance_start_time": (NEWEST - 10) * BLOCK}},
    "left out": {"left_out": (NEWEST - 60, NEWEST - 20)},
    "left out now": {"left_out": (NEWEST - 60, NEWEST)},
    "on probation": {"probation": True},
    "without feedback": {"spec": {"serving": None}},
}


@cache
def terms_with(name, without_feedback):
    slo = {field: value for field, value in SLOS[name].items() if value is not None}
    return judged_by(slo, **({"serving": None} if without_feedback else {}))


@cache
def counts(slo: str, history: str) -> tuple[Count, ...]:
    source = random.Random(slo)
    total, rate = USUAL.get(slo, (100, 0.1))
    found = []
    for index in range(1, NEWEST + 1):
        share, worse = HISTORIES[history](index)
        events = round(total * share)
        noise = source.gauss(0, (events * rate) ** 0.5)
        found.append(Count(min(max(round(events * rate * worse + noise), 0), events), events))
    return tuple(found)


def gauge(history: str) -> Means:
    source, values = random.Random(3), Means()
    for index in range(1, NEWEST + 1):
        share, worse = HISTORIES[history](index)
        value = 100 + source.gauss(0, 2) - 5 * (worse - 1)
        values.record(index, value if share >= 1 else None)
    return values


def shown(name, history, accepted, **given) -> list[str]:
    terms = terms_with(name, "spec" in given)
    (slo,) = terms.slos
    since = given.get("since", 0) * BLOCK
    known, held = {}, {}
    if compared := ACCEPTED[accepted]:
        total, production, daily = compared
        bad = round(total * USUAL.get(slo.name, (100, 0.1))[1])
        one = baseline(slo, bad, total, mean=100.0, deviation=2.0, phi=1.2)
        if production:
            one = one.replace(source=BaselineSource.PRODUCTION, end=13 * 12 * BLOCK, daily=daily)
        known = {slo.name: one}
        held = {slo.name: one.replace(bad=round(bad * 0.8))} if given.get("probation") else {}
    record = {"steady_start_time": 0, "terms_hash": slo.hash, **given.get("record", {})}
    if "left_out" in given:
        begin, end = (index * BLOCK for index in given["left_out"])
        record["ignored_intervals"] = (TimeInterval(begin=begin, end=end),)
    status = serving(
        stable=stable(since=since, **known),
        slos={slo.name: SloRecord(**record)},
        probation=Probation(version="v1", against="v0", start_time=since) if held else None,
        probation_baselines=held,
    )
    series = Series()
    for index, count in enumerate(counts(slo.name, history), start=1):
        series.record(Block(index, Quality.COUNTED, count))
    if "newest" in given:
        series.record(Block(NEWEST, given["newest"]))
    read = observed(
        block=NEWEST,
        series={"v1": {} if slo.gauge else {slo.name: series}},
        gauges={"v1": {slo.name: gauge(history)}} if slo.gauge else {},
        problem=given.get("problem"),
        problems={slo.name: Reason.UNREADABLE_SERIES} if given.get("problems") else {},
    )
    (found,), after = judge_stable(terms, status, status.stable, read)
    seen = replace(
        found, terms=slo.name, baseline=found.baseline and "known", reading=found.reading and "one"
    )
    present = present_now(terms, status, read, found, stable=status.stable)
    load = load_now(terms, status.stable, read, found)
    visible = visibility(found, BLOCK)
    lines = [
        describe(found, BLOCK),
        f"{plain(seen)} {plain(numbers_of(found))}",
        f"present {present.bad}: {present.message}; load {load and plain([load, load.ratio])}",
    ]
    if visible is not None:
        lines.append(f"{describe_visibility(visible, slo.drop)}, suspected: {is_suspected(found)}")
    return [*lines, *changes(status, after)]


@pytest.mark.parametrize("name", SLOS)
def test_the_status_of_an_slo_equals_its_golden(name, golden):
    outcomes = {
        (history, f"accepted with {accepted}"): shown(name, history, accepted)
        for history, accepted in every(HISTORIES, ACCEPTED)
        if "day" not in accepted or name in BY_THE_DAY
    }
    for history in HISTORIES if name in ON_PROBATION else ():
        outcomes[history, "on probation"] = shown(name, history, "production", probation=True)
    others = {
        (f"bad for an hour, {other}", f"accepted with {accepted}"): shown(
            name, "bad for an hour", accepted, **OTHERS[other]
        )
        for other, accepted in every(OTHERS, ("nothing", "production"))
    }
    golden(f"service_levels/{name.replace(' ', '-')}.txt", [*by_line(outcomes), *by_line(others)])
