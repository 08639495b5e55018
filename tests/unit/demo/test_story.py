"""Stages of a story: reached by what a scene shows, spoiled by what can't be fixed, never late."""

from __future__ import annotations

import io

import pytest

from demo import story, telling
from demo.answers import Counts, Recent, Snapshot
from demo.samples import PRICING, RANKING, SAMPLES
from demo.telling import Scene, Stage, StageMissedError, Telling
from demo.terminal import Terminal
from demo.watch import Seen, Training


def scene(pricing=None, ranking=None, *, at=0.0, snapshots=None):
    seen = {PRICING: pricing or Seen(), RANKING: ranking or Seen()}
    return Scene(at, seen, snapshots or {}, {sample: Recent() for sample in SAMPLES})


class EventNote(Telling):
    """A telling whose scenes are given."""

    def follow(self, *scenes):
        self.coming = list(scenes)
        return self

    def scene(self):
        return self.coming.pop(0) if len(self.coming) > 1 else self.coming[0]


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(telling, "LOOK_SECONDS", 0.0)
    return EventNote(None, Terminal(io.StringIO()))


def stage(**changes):
    values = {
        "name": "degraded",
        "expects": "pricing to become Degraded",
        "seconds": 5,
        "reached": lambda scene: scene.seen[PRICING].state == "Degraded",
    }
    return Stage(**(values | changes))


def test_a_stage_begins_what_it_waits_for_and_remembers_the_scene_that_shows_it(told):
    begun = []
    told.follow(scene(), scene(Seen(state="Degraded"), at=7.0))
    told.until(stage(begin=lambda: begun.append(1)))
    assert begun == [1]
    assert told.moments["degraded"].at == 7.0


def test_a_stage_that_is_late_says_what_was_expected_and_what_was_seen(told):
    told.follow(scene(Seen(state="Healthy", stable="v1", trouble="no pod is ready")))
    with pytest.raises(StageMissedError) as missed:
        told.until(stage(seconds=0))
    assert "expected pricing to become Degraded within 0 s" in str(missed.value)
    assert "pricing Healthy v1" in str(missed.value)
    assert "no pod is ready" in str(missed.value)


def test_a_stage_that_cannot_come_any_more_ends_at_once(told):
    told.follow(scene(Seen(training=Training(attempts=1, outcome="Failed", message="no memory"))))
    with pytest.raises(StageMissedError, match="ended as Failed: no memory"):
        told.until(stage(seconds=3600, spoiled=story._attempt_failed))


@pytest.mark.parametrize("outcome", ["", "InProgress"])
def test_an_attempt_that_goes_on_spoils_nothing(outcome):
    assert not story._attempt_failed(scene(Seen(training=Training(attempts=1, outcome=outcome))))


def test_products_are_healthy_when_they_say_so_and_enough_was_measured():
    healthy = Seen(state="Healthy")
    measured = {
        sample: Snapshot(1.0, versions={"v1": Counts(least, 0)})
        for sample, least in story.MEASURED.items()
    }
    assert story._is_healthy(scene(healthy, healthy, snapshots=measured))
    assert not story._is_healthy(scene(healthy, healthy))
    assert not story._is_healthy(scene(healthy, Seen(state="Unknown"), snapshots=measured))


def test_a_story_that_ended_early_reports_why_and_claims_nothing(told):
    told.follow(scene())
    report = story.Story(told).report(12.0, "expected both products to be Ready")
    assert report.failures == ["expected both products to be Ready"]
    assert report.checks == ()
    assert report.document()["passed"] is False


def test_the_weights_that_a_canary_took_are_gathered_in_order(told):
    tale = story.Story(told)
    for weight in (0, 5, 5, 25, 50, 100):
        done = tale._has_stepped(scene(Seen(weight=weight)))
    assert done
    assert tale.weights == [5, 25, 50, 100]
