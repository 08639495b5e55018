"""The sample product as it is shipped: each of its service levels is watched, from the first day on."""

from pathlib import Path

import pytest
import yaml

from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions.histories import draw
from tests.support.decisions.scenarios import blocks

SAMPLE = yaml.safe_load(
    (Path(__file__).parents[3] / "bentos/search-ranking/dataproduct.yaml").read_text("utf-8")
)
DAY = 288
RATES = {
    "availability": (6000, 0.0002),
    "latency": (6000, 0.002),
    "accuracy": (600, 0.08),
    "conversion": (600, 0.969),
    "estimates": (6000, 0.001),
}
FALLEN = {
    "availability": 0.05,
    "latency": 0.1,
    "accuracy": 0.2,
    "conversion": 0.985,
    "estimates": 0.1,
}
PROMOTED = 20


def played(fallen, *, promoted):
    """Return two days as they should be, and half a day in which one service level is worse."""

    def counts(index, version):
        late = index > 2 * DAY + PROMOTED
        return {
            name: draw(
                (index, version, name), total, FALLEN[name] if late and name == fallen else p
            )
            for name, (total, p) in RATES.items()
        }

    versions = ("v1", "v2") if promoted else ("v1",)
    events = [{"at": 300, "modelChanged": {"version": "v2"}}] if promoted else []
    document = {
        "product": {
            **SAMPLE,
            "spec": {**SAMPLE["spec"], "rollout": {"steps": [50], "maxDurationSeconds": 14400}},
        },
        "version": "v1",
        "accepted": SAMPLE["spec"]["model"]["evaluation"],
        "events": events,
        "blocks": blocks(
            lambda index: {version: counts(index, version) for version in versions},
            2 * DAY + PROMOTED + 150,
        ),
    }
    return list(replay(parse_scenario(document)))


@pytest.mark.slow
@pytest.mark.parametrize("promoted", [False, True])
@pytest.mark.parametrize("fallen", ["conversion", "latency"])
def test_each_slo_of_the_sample_has_a_baseline_after_two_days_and_its_drop_is_detected(
    fallen, promoted
):
    steps = played(fallen, promoted=promoted)
    before, after = steps[2 * DAY + PROMOTED - 1], steps[-1]
    assert before.status.stable.release.version == ("v2" if promoted else "v1")
    learnt = {name: one.source for name, one in before.status.stable.baseline.items()}
    assert learnt == dict.fromkeys(RATES, "Production")
    assert {slo.state for slo in before.evaluation.slos} == {"Met"}
    (bad,) = (slo for slo in after.evaluation.slos if slo.state == "Missed")
    assert bad.terms.name == fallen
    after_decision = [step.evaluation.decision for step in steps[2 * DAY + PROMOTED :]]
    assert any(
        one.type != "Hold" and one.message.lower().startswith(fallen) for one in after_decision
    )


def test_a_hold_out_baseline_too_small_to_detect_max_drop_is_replaced_by_production():
    slo = {"name": "conversion", "indicator": {"events": {"indicator": "conversion"}}}
    model = {"bento": SAMPLE["spec"]["model"]["bento"]}
    spec = {**SAMPLE["spec"], "model": model, "slos": [{**slo, "maxDrop": "0.010"}]}
    document = {
        "product": {**SAMPLE, "spec": spec},
        "version": "v1",
        "accepted": {"conversion": {"bad": 19, "total": 20}},
        "blocks": blocks(lambda index: {"v1": {"conversion": draw((index,), 600, 0.969)}}, 2 * DAY),
    }
    steps = list(replay(parse_scenario(document)))
    assert steps[DAY // 2].evaluation.slos[0].reason == "BaselineTooSmall"
    assert steps[-1].status.stable.baseline["conversion"].source == "Production"
    assert steps[-1].evaluation.slos[0].state == "Met"
