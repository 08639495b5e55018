"""`sluicegate replay`: what a line holds, once as a process, and what a mistake says."""

import json
import subprocess
import sys

import pytest

from sluicegate.__main__ import main
from tests.support.decisions.histories import World, good
from tests.support.decisions.scenarios import BLOCK, count, product

pytestmark = pytest.mark.slow

TYPES = {
    *("Hold", "Retrain", "StartRollout", "Advance"),
    *("Promote", "Rollback", "Inconclusive", "Alert"),
}
STATES = {"Healthy", "Degrading", "Degraded", "Unknown"}


def history(**fields):
    world = World(
        product(),
        {"v1": good(), "v2": good()},
        40,
        accepted={"accuracy": count(500, 5000)},
        events=[{"at": 20 * BLOCK, "modelChanged": {"version": "v2"}}],
    )
    return {**world.document([]), **fields}


def scenario_file(tmp_path, document):
    file = tmp_path / "scenario.yaml"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(file)


def test_a_line_holds_what_the_format_names(tmp_path):
    command = [sys.executable, "-m", "sluicegate", "replay", scenario_file(tmp_path, history())]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [line["at"] for line in lines] == [index * BLOCK for index in range(1, 41)]
    for line in lines:
        assert list(line) == ["at", "state", "decision", "stable", "candidate", "weight", "slos"]
        assert set(line["decision"]) == {"type", "reason", "message"}
        assert line["decision"]["type"] in TYPES
        assert line["state"] in STATES
        assert set(line["slos"]) == {"availability", "accuracy"}
        assert all({"state", "reason", "bad", "total"} <= set(s) for s in line["slos"].values())
        assert line["decision"]["message"]
        assert isinstance(line["weight"], int)


def block(**fields):
    return [{"at": BLOCK, "counts": {}, **fields}]


NEGATIVE = block(counts={"v1": {"accuracy": count(-1, 5)}})
WORDS = block(counts={"v1": {"accuracy": {"bad": "few", "total": 5}}})
UNORDERED = [{"at": 600}, {"at": 300}]


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"blocks": UNORDERED}, "blocks[1].at"),
        ({"blocks": NEGATIVE}, "blocks[0].counts.v1.accuracy.bad"),
        ({"blocks": WORDS}, "blocks[0].counts.v1.accuracy.bad"),
        ({"blocks": block(coverage="half")}, "blocks[0].coverage"),
        ({"blocks": block(unavailable=7)}, "blocks[0].unavailable"),
        ({"accepted": {"accuracy": {"bad": 1}}}, "accepted.accuracy.total"),
        ({"facts": [{"at": "now"}]}, "facts[0].at"),
        ({"events": [{"at": 300, "promoted": {}}]}, "events[0].promoted"),
        ({"events": [{"at": 300, "modelChanged": {}}]}, "events[0].modelChanged.version"),
        ({"version": ""}, "version"),
        ({"product": product(rollout={"steps": [25, 5]})}, "product.spec.rollout.steps"),
    ],
)
def test_a_mistake_is_told_by_its_path_and_exits_2(tmp_path, capsys, wrong, path):
    assert main(["replay", scenario_file(tmp_path, history(**wrong))]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert path in said.err


@pytest.mark.parametrize("text", ["", "[]", "a: b: c", "{blocks: [", "\x00", "&a [*a]", "7"])
def test_what_is_no_scenario_is_no_crash(tmp_path, capsys, text):
    assert main(["replay", scenario_file(tmp_path, text)]) == 2
    assert capsys.readouterr().err
