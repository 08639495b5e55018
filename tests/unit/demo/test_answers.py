"""Counts of what visitors saw: they subtract, and a share of too few is none."""

from __future__ import annotations

from demo.answers import Counts, Recent, Snapshot
from used_car_market.tally import Tally


def snapshot(at, **versions):
    return Snapshot(float(at), versions={name: Counts(*pair) for name, pair in versions.items()})


def test_an_accuracy_of_too_few_predictions_is_none():
    assert Counts(49, 0).accuracy is None
    assert Counts(45, 5).accuracy == 0.9


def test_the_difference_of_two_snapshots_counts_one_version_or_all():
    before, after = snapshot(0, v1=(90, 10)), snapshot(9, v1=(100, 20), v2=(5, 1))
    assert after.since(before) == Counts(15, 11)
    assert after.since(before, "v2") == Counts(5, 1)
    assert after.since(before, "v3") == Counts()


def test_a_snapshot_is_a_copy_of_the_current_counts():
    tally = Tally(sent=3)
    tally.of("v1").correct = 2
    tally.failures["503"] = 1
    taken = Snapshot.of(tally, 1.0)
    tally.of("v1").correct, tally.failures["503"] = 9, 9
    assert (taken.sent, taken.failed, taken.failures) == (3, 1, {"503": 1})
    assert taken.versions == {"v1": Counts(2, 0)}


def test_recent_answers_are_those_of_the_last_seconds():
    recent = Recent(seconds=10)
    assert recent.counts() == Counts()
    for at, right in ((0, 0), (5, 50), (10, 100), (15, 150), (20, 200)):
        recent.add(snapshot(at, v1=(right, 0)))
    assert recent.counts() == Counts(100, 0)
