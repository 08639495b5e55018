"""Too little to say is no verdict, and what was measured in an incident is no evidence after it."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluicegate.api.engine import SloRecord
from sluicegate.policy.model.excluded_blocks import exclude_blocks, spans_of
from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions.histories import decisions
from tests.support.decisions.scenarios import ACCURACY, BLOCK, acts, count, product, run, scenario

MOST = 24
DATA = Path(__file__).parents[2] / "data"

pytestmark = pytest.mark.slow

UPSTREAM = {"upstreamDegraded": ["pricing"]}, {"upstreamDegraded": []}
PODS = {"podsUnhealthy": True}, {"podsUnhealthy": False}
BEGIN, END = 40, 80
QUICK = {"command": ["train"], "output": "registry.example/search", "cooldownSeconds": 0}


def labels(counts):
    """Return counts of accuracy alone, by block."""
    return lambda index: {"v1": {"accuracy": count(*counts(index))}}


def incident(after, *, cause=UPSTREAM, ends=END, last, **fields):
    """Return accepted at 8 % wrong.

    40 % in the incident; `after` says (bad, total) of later blocks.
    """

    def counts(index):
        if index < ends:
            return (40, 100) if index >= BEGIN else (8, 100)
        return after(index)

    facts = [{"at": BEGIN * BLOCK, **cause[0]}, {"at": ends * BLOCK, **cause[1]}] if cause else []
    fields = {"product": product(ACCURACY, retraining=QUICK), "facts": facts, **fields}
    accepted = {"accuracy": count(800, 10_000)}
    return run(scenario(labels(counts), last, accepted=accepted, **fields))


@pytest.mark.parametrize("first", [(0, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("cause", [UPSTREAM, PODS])
@pytest.mark.parametrize("silence", [0, 5, 30, 150])
def test_the_first_labels_after_an_incident_and_a_gap_start_no_training(first, cause, silence):
    def after(index):
        return first if index >= END + silence else (0, 0)

    lines = incident(after, cause=cause, last=END + silence + 3)
    assert "Retrain" not in {kind for kind, _ in acts(lines)}
    # What was measured before the incident counts, and was good.
    assert {line["slos"]["accuracy"]["state"] for line in lines[END:]} <= {"Met", "Unknown"}


def test_an_incident_and_a_gap_recorded_in_ten_second_blocks_start_no_action():
    # 8 % wrong for 50 minutes, 18 % while an upstream is degraded, ten minutes of silence, then one
    # good label in each block: the first was once enough to retrain.
    document = json.loads((DATA / "stale-evidence.json").read_text())
    lines = run(document)
    counts = [block["counts"]["v1"]["accuracy"] for block in document["blocks"]]
    first = next(n for n, one in enumerate(counts) if one["total"] == 1)
    assert {one["total"] for one in counts[first - 60 : first]} == {0}
    assert acts(lines) == []
    assert {line["decision"]["reason"] for line in lines[first:]} == {"Healthy"}
    assert {line["state"] for line in lines[first:]} == {"Healthy"}


@given(
    silence=st.integers(0, 60),
    total=st.integers(1, 40),
    seed=st.integers(0, 10**6),
    cause=st.sampled_from([UPSTREAM, PODS]),
)
@example(silence=22, total=1, seed=1, cause=UPSTREAM)
@settings(max_examples=25, derandomize=True)  # by chance one of thousands is rightly retrained
def test_labels_at_the_accepted_level_start_no_training_after_any_history(
    silence, total, seed, cause
):
    source = random.Random(seed)

    def after(index):
        if index < END + silence:
            return 0, 0
        return sum(source.random() < 0.08 for _ in range(total)), total

    lines = incident(after, cause=cause, last=END + silence + 60)
    assert decisions(lines, "Retrain") == []


@pytest.mark.parametrize("cause", [UPSTREAM, PODS])
@pytest.mark.parametrize(("silence", "total"), [(0, 100), (30, 48), (30, 3)])
def test_labels_that_stay_bad_after_an_incident_start_a_training_by_their_own_evidence(
    cause, silence, total
):
    def after(index):
        return (round(total * 0.4), total) if index >= END + silence else (0, 0)

    lines = incident(after, cause=cause, last=END + silence + 60)
    (retrain,) = decisions(lines, "Retrain")
    assert retrain["at"] > (END + silence) * BLOCK
    assert retrain["decision"]["reason"] == "ModelDecay"


def test_a_degraded_young_version_is_retrained_only_after_labels_confirm_it():
    """No cause is known: only the present can show it, and one label doesn't."""

    def counts(index):
        return (40, 100) if index < 13 else (1, 1) if index == 60 else (0, 0)

    lines = run(scenario(labels(counts), 60, product=product(ACCURACY, retraining=QUICK)))
    assert lines[11]["state"] == "Degraded"
    assert acts(lines) == []
    assert lines[-1]["decision"]["reason"] == "InsufficientData"
    assert "1 events at present, 11 are needed" in lines[-1]["decision"]["message"]


def test_a_degradation_ended_by_good_labels_starts_no_training():
    script = labels(lambda index: (40 if index < 13 else 10, 100))
    lines = run(scenario(script, 17, product=product(ACCURACY, retraining=QUICK)))
    assert [line["decision"]["reason"] for line in lines[14:]] == ["Recovered"] * 3
    assert lines[-1]["state"] == "Degraded"


def test_a_single_bad_label_does_not_confirm_a_missed_objective():
    slo = {**ACCURACY, "maxDrop": None}
    slo = {name: value for name, value in slo.items() if value is not None}

    def counts(index):
        return (40, 100) if index < 13 else (1, 1) if index == 60 else (0, 0)

    spec = product(slo, retraining=QUICK)
    lines = run(scenario(labels(counts), 60, product=spec, accepted=None))
    assert lines[11]["state"] == "Degraded"
    assert acts(lines) == []
    assert lines[-1]["slos"]["accuracy"]["state"] == "Missed"
    assert lines[-1]["decision"]["reason"] == "InsufficientData"


def test_a_trickle_of_traffic_gives_no_evidence_for_the_present_level():
    def counts(index):
        return (40, 100) if index < 13 else (0, 1)

    lines = run(scenario(labels(counts), 30, product=product(ACCURACY, retraining=QUICK)))
    assert lines[11]["state"] == "Degraded"
    assert acts(lines) == []


@pytest.mark.parametrize(("total", "every"), [(48, 1), (48, 3), (1, 4), (60, 288)])
def test_a_lasting_decay_is_retrained_however_rare_labels_are(total, every):
    source = random.Random(5)

    def counts(index):
        if index % every:
            return 0, 0
        rate = 0.1 if index < 300 else 0.5
        return sum(source.random() < rate for _ in range(total)), total

    last = 300 + (120 if every < 4 else 1200)
    lines = run(scenario(labels(counts), last, product=product(ACCURACY, retraining=QUICK)))
    assert [reason for _, reason in acts(lines)] == ["ModelDecay"]


def often_disturbed(rate, last, *, every=72, lasts=18, seed=1, known_late=0):
    """Return two labels an hour; an upstream fails each six hours, and is known to `known_late` blocks late.

    `rate` gets the block's index, and whether the upstream has failed.
    """
    source, facts = random.Random(seed), []

    def counts(index):
        failed = index > every and index % every < lasts
        return (int(source.random() < rate(index, failed)), 1) if index % 6 == 0 else (0, 0)

    for begin in range(2 * every, last, every):
        facts += [
            {"at": (begin + known_late) * BLOCK, **UPSTREAM[0]},
            {"at": (begin + lasts) * BLOCK, **UPSTREAM[1]},
        ]
    return incident(counts, cause=None, ends=0, last=last, facts=facts)


@pytest.mark.parametrize("seed", range(3))
def test_a_decay_is_retrained_though_an_upstream_fails_every_six_hours(seed):
    """The evidence of two labels an hour restarted with each of its incidents."""
    begins = 300

    def rate(index, failed):
        return 0.7 if failed else 0.5 if index >= begins else 0.08

    lines = often_disturbed(rate, begins + 288 * 6, seed=seed)
    (retrain,) = decisions(lines, "Retrain")
    assert retrain["at"] > begins * BLOCK
    assert retrain["decision"]["reason"] == "ModelDecay"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("known_late", [0, 12])
def test_incidents_alone_start_no_training_however_frequent(seed, known_late):
    def rate(_, failed):
        return 0.7 if failed else 0.08

    lines = often_disturbed(rate, 288 * 7, seed=seed, known_late=known_late)
    assert decisions(lines, "Retrain") == []


def test_the_number_of_excluded_spans_is_limited_and_the_oldest_drops_older_evidence():
    known = SloRecord(terms_hash="a")
    for hour in range(100):
        first = 100 * 12 * hour + 5
        known = exclude_blocks(known, first, first + 3, 300)
    assert len(known.ignored_intervals) == 4, "fourteen days back, 100 hours apart"
    known = SloRecord(terms_hash="a")
    for hour in range(40):
        known = exclude_blocks(known, 48 * hour + 1, 48 * hour + 3, 300)
    assert len(known.ignored_intervals) == MOST
    assert known.since == (15 * 48 + 3) * 300
    known = exclude_blocks(known, 48 * 39 + 1, 48 * 39 + 30, 300)
    assert len(known.ignored_intervals) == MOST, "what overlaps is one"
    assert spans_of(known, 300)[-1] == (48 * 39, 48 * 39 + 30)


@pytest.mark.parametrize(("bad", "ignored_intervals"), [(8, ()), (40, ((24 * BLOCK, 80 * BLOCK),))])
def test_only_worse_blocks_of_a_disturbance_are_excluded(bad, ignored_intervals):
    facts = [{"at": BEGIN * BLOCK, **UPSTREAM[0]}, {"at": END * BLOCK, **UPSTREAM[1]}]
    script = labels(lambda index: (bad if BEGIN <= index < END else 8, 100))
    document = scenario(script, 90, product=product(ACCURACY, retraining=QUICK), facts=facts)
    *_, last = replay(parse_scenario(document))
    known = last.status.engine.slo("accuracy")
    assert (known.since, known.disturbance_start_time, known.degraded) == (0, None, False)
    assert [
        (ignored_interval.begin, ignored_interval.end)
        for ignored_interval in known.ignored_intervals
    ] == list(ignored_intervals)


def test_unreadable_blocks_of_an_incident_are_checked_once_readable():
    """An incident that was over in no time: worse, but never long enough to be called bad."""

    def script(index):
        if END <= index < END + 3:
            return {"unavailable": "Backfilling"}
        return {"v1": {"accuracy": count(13 if BEGIN <= index < END else 8, 100)}}

    facts = [{"at": BEGIN * BLOCK, **UPSTREAM[0]}, {"at": END * BLOCK, **UPSTREAM[1]}]
    document = scenario(script, 90, product=product(ACCURACY, retraining=QUICK), facts=facts)
    accepted = {"accuracy": count(800, 10_000)}
    statuses = [step.status for step in replay(parse_scenario({**document, "accepted": accepted}))]
    ignored_intervals = [
        tuple(
            (ignored_interval.begin, ignored_interval.end)
            for ignored_interval in status.engine.slo("accuracy").ignored_intervals
        )
        for status in statuses
    ]
    assert set(ignored_intervals[: END + 2]) == {()}
    assert set(ignored_intervals[END + 2 :]) == {((24 * BLOCK, 83 * BLOCK),)}


def test_an_incident_that_ends_with_the_confirmation_starts_no_training():
    """Pods were ill for ten blocks; the third evaluation that confirms came when all was well."""

    def counts(index):
        return (20, 20) if 135 <= index < 145 else (2 if index % 2 else 1, 20)

    facts = [{"at": 135 * BLOCK, **PODS[0]}, {"at": 145 * BLOCK, **PODS[1]}]
    lines = incident(counts, cause=None, ends=0, last=200, facts=facts)
    assert decisions(lines, "Retrain") == []
    assert "Degraded" in {line["state"] for line in lines}


def test_an_incident_before_a_gap_does_not_make_inconclusive_labels_bad():
    """It reached back to the one batch of a short incident, across a silence, as half was good."""

    def counts(index):
        bad = 120 if index == 102 else 36
        return (0, 0) if index % 6 or 107 <= index < 127 else (bad, 400)

    facts = [{"at": 97 * BLOCK, **PODS[0]}, {"at": 107 * BLOCK, **PODS[1]}]
    lines = incident(counts, cause=None, ends=0, last=150, facts=facts)
    assert decisions(lines, "Retrain") == []
