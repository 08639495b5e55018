"""What holds of any history: drawn at random, with every kind of fault in it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.decisions.decays import EASY, ONE_STEP, PASSED, changed
from tests.support.decisions.scenarios import ACCURACY, BLOCK, count, product, run, scenario, steady

pytestmark = pytest.mark.slow

FAULTS = {
    "unavailable": lambda counts: {"unavailable": "PrometheusUnavailable"},
    "stale": lambda counts: {"unavailable": "PrometheusStale"},
    "low coverage": lambda counts: {"counts": counts, "coverage": "0.5"},
    "no series": lambda counts: {"counts": {}},
    "nothing": lambda counts: {
        version: {slo: count(0, 0) for slo in slos} for version, slos in counts.items()
    },
    "invalid": lambda counts: {
        version: {slo: count(9, 3) for slo in slos} for version, slos in counts.items()
    },
    "no labels": lambda counts: {
        version: {"availability": slos["availability"]} for version, slos in counts.items()
    },
    "no requests": lambda counts: {
        version: {"accuracy": slos["accuracy"]} for version, slos in counts.items()
    },
}
BLIND = {"unavailable", "stale", "low coverage", "no series", "nothing", "invalid"}
ACTS = {"Retrain", "Promote", "Advance"}

stretch = st.tuples(st.integers(1, 40), st.sampled_from([None, None, *FAULTS]))
rates = st.sampled_from([0.0, 0.05, 0.1, 0.14, 0.3, 0.9])
histories = st.fixed_dictionaries(
    {
        "stretches": st.lists(stretch, min_size=3, max_size=9),
        "stable": st.tuples(rates, rates),
        "candidate": rates,
        "change": st.integers(5, 100),
        "change_back": st.none() | st.integers(5, 200),
        "result": st.none() | st.integers(5, 200),
        "failure": st.none() | st.integers(5, 200),
        "facts": st.lists(st.tuples(st.integers(1, 200), st.booleans(), st.booleans()), max_size=3),
    }
)


def made(history):
    """Return a scenario of a random history, and which blocks told nothing."""
    faults = [kind for length, kind in history["stretches"] for _ in range(length)]

    def script(index):
        early, late = history["stable"]
        counts = {"v1": steady(early if index < 90 else late, 100)}
        for version in ("v2", "v3"):
            counts[version] = steady(history["candidate"], 100, requests=600)
        fault = faults[index - 1]
        return counts if fault is None else FAULTS[fault](counts)

    events = [changed(history["change"], "v3")]
    if history["change_back"]:
        events.append(changed(history["change_back"], "v1"))
    if history["result"]:
        events.append({"at": history["result"] * BLOCK, "retrained": {"version": "v2", **PASSED}})
    if history["failure"]:
        events.append({"at": history["failure"] * BLOCK, "retrainingFailed": {"message": "x"}})
    facts = [
        {"at": at * BLOCK, "upstreamDegraded": ["a"] if upstream else [], "podsUnhealthy": pods}
        for at, upstream, pods in history["facts"]
    ]
    document = scenario(
        script,
        len(faults),
        product=product(EASY, ACCURACY, rollout=ONE_STEP),
        events=events,
        facts=facts,
    )
    return document, faults


FALLS_SILENT = {
    "stretches": [(4, None), (10, "nothing")], "stable": (0.3, 0.0), "candidate": 0.0,
    "change": 15, "change_back": None, "result": None, "failure": None, "facts": [],
}  # fmt: skip
"""Confirmed as bad while it was too young to be retrained; then nothing more was counted."""


@given(histories)
@example(FALLS_SILENT)
@settings(max_examples=60)
def test_blocks_without_data_start_no_action_for_a_version(history):
    document, faults = made(history)
    for line, fault in zip(run(document), faults, strict=True):
        if fault in BLIND:
            assert line["decision"]["type"] not in ACTS
        if fault in BLIND - {"nothing"}:
            assert line["state"] == "Unknown"


@given(histories)
@settings(max_examples=40)
def test_each_replay_line_is_consistent_with_itself_and_the_previous_line(history):
    document, _ = made(history)
    before = None
    for line in run(document):
        assert line["decision"]["message"]
        assert 0 <= line["weight"] < 100
        assert line["weight"] == 0 or line["candidate"] is not None
        assert line["stable"] != line["candidate"]
        if before is not None and line["stable"] != before["stable"]:
            assert line["decision"]["type"] in {"Promote", "Rollback"}
        before = line


@given(histories, st.integers(1, 200))
@settings(max_examples=25)
def test_later_blocks_change_no_earlier_decision(history, cut):
    document, _ = made(history)
    shorter = {**document, "blocks": document["blocks"][:cut]}
    assert run(shorter) == run(document)[:cut]


@given(
    st.lists(st.integers(0, 40), min_size=20, max_size=60), st.integers(0, 59), st.integers(1, 40)
)
@settings(max_examples=40)
def test_more_bad_events_never_improve_the_state_of_a_product(bads, place, more):
    order = ["Unknown", "Healthy", "Degrading", "Degraded"]
    place %= len(bads)
    worse = list(bads)
    worse[place] = min(100, worse[place] + more)

    def played(rows):
        def script(index):
            accuracy = count(rows[index - 1], 100)
            return {"v1": {"availability": count(0, 1200), "accuracy": accuracy}}

        return [line["state"] for line in run(scenario(script, len(rows), accepted=None))]

    for one, other in zip(played(bads), played(worse), strict=True):
        assert order.index(other) >= order.index(one)
