"""Stages of a story: reached by what a scene shows, spoiled by what can't be fixed, never late."""

from __future__ import annotations

import io

import pytest

from demo import story, telling
from demo.answers import Counts, Recent, Snapshot
from demo.samples import PRICING, RANKING, SAMPLES
from demo.telling import Scene, Stage, StageMissedError, Telling
from demo.terminal import Terminal
from demo.watch import ProductState, Training


def scene(pricing=None, ranking=None, *, at=0.0, snapshots=None):
    seen = {PRICING: pricing or ProductState(), RANKING: ranking or ProductState()}
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
        "reached": lambda scene: scene.states[PRICING].state == "Degraded",
    }
    return Stage(**(values | changes))


def test_a_demo_stage_starts_its_action_and_keeps_the_observation_that_completes_it(told):
    begun = []
    told.follow(scene(), scene(ProductState(state="Degraded"), at=7.0))
    told.until(stage(begin=lambda: begun.append(1)))
    assert begun == [1]
    assert told.moments["degraded"].at == 7.0


def test_a_late_demo_stage_reports_the_expected_and_the_actual_state(told):
    told.follow(scene(ProductState(state="Healthy", stable="v1", problem="no pod is ready")))
    with pytest.raises(StageMissedError) as missed:
        told.until(stage(seconds=0))
    assert "expected pricing to become Degraded within 0 s" in str(missed.value)
    assert "pricing Healthy v1" in str(missed.value)
    assert "no pod is ready" in str(missed.value)


def test_an_impossible_demo_stage_ends_at_once(told):
    told.follow(
        scene(ProductState(training=Training(attempts=1, outcome="Failed", message="no memory")))
    )
    with pytest.raises(StageMissedError, match="ended as Failed: no memory"):
        told.until(stage(seconds=3600, spoiled=story._attempt_failed))


@pytest.mark.parametrize("outcome", ["", "InProgress"])
def test_a_continuing_attempt_does_not_fail_the_demo(outcome):
    assert not story._attempt_failed(
        scene(ProductState(training=Training(attempts=1, outcome=outcome)))
    )


def test_demo_products_are_healthy_by_status_with_enough_measurements():
    healthy = ProductState(state="Healthy")
    measured = {
        sample: Snapshot(1.0, versions={"v1": Counts(least, 0)})
        for sample, least in story.MEASURED.items()
    }
    assert story._is_healthy(scene(healthy, healthy, snapshots=measured))
    assert not story._is_healthy(scene(healthy, healthy))
    assert not story._is_healthy(scene(healthy, ProductState(state="Unknown"), snapshots=measured))


def test_a_demo_that_ended_early_reports_the_reason_and_no_success(told):
    told.follow(scene())
    report = story.Story(told).report(12.0, "expected both products to be Ready")
    assert report.failures == ["expected both products to be Ready"]
    assert report.checks == ()
    assert report.document()["passed"] is False


def test_the_weights_of_a_demo_canary_are_collected_in_order(told):
    tale = story.Story(told)
    for weight in (0, 5, 5, 25, 50, 100):
        done = tale._has_stepped(scene(ProductState(weight=weight)))
    assert done
    assert tale.weights == [5, 25, 50, 100]
