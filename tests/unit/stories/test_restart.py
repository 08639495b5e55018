"""A restart after any block changes no decision: status keeps the state, the blocks the evidence."""

import pytest

from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_output import as_object
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions import decays
from tests.support.decisions.blind_blocks import SCRIPTS
from tests.support.decisions.histories import through_json
from tests.support.decisions.scenarios import scenario, steady


def histories():
    d = decays
    yield "promotion", scenario(d.decaying(0.1), 420, product=d.one_step(), events=[d.trained()])
    yield "rollback", scenario(d.decaying(0.5), 200, product=d.one_step(), events=[d.trained()])
    yield "failures", scenario(d.decaying(), 1400, events=[d.failed(120), d.failed(720)])
    script, events = d.worse_later(85)
    yield "probation", scenario(script, 300, product=d.one_step(), events=events)
    yield (
        "superseded",
        scenario(
            d.decaying(0.1, "v3", 115),
            180,
            product=d.one_step(),
            events=[d.changed(115, "v3"), d.trained(120)],
        ),
    )
    yield "production baseline", scenario(lambda i: {"v1": steady(0.1 if i < 400 else 0.3)}, 440)
    yield (
        "facts",
        scenario(
            d.decaying(),
            200,
            facts=[
                {"at": 27_000, "upstreamDegraded": ["a"]},
                {"at": 45_000, "upstreamDegraded": []},
            ],
        ),
    )
    for name, script in SCRIPTS.items():
        yield name, scenario(script, 200, product=d.one_step(), events=[d.trained()])


def marked(name):
    return [pytest.mark.slow] if name == "failures" else []


@pytest.mark.slow
@pytest.mark.parametrize(
    "history", [pytest.param(h, id=name, marks=marked(name)) for name, h in histories()]
)
def test_a_restart_after_each_block_changes_no_decision(history):
    parsed = parse_scenario(history)
    without = [as_object(step) for step in replay(parsed)]
    assert [as_object(step) for step in replay(parsed, through_json)] == without
