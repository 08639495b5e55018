"""The format of scenarios and of what a replay prints, and how mistakes are reported."""

import copy
import io
import json
import subprocess
import sys

import pytest
import yaml

from sluicegate.__main__ import main
from tests.support.decisions.histories import World, good
from tests.support.decisions.scenarios import BLOCK, count, product, scenario, steady

KEYS = ["at", "state", "decision", "stable", "candidate", "weight", "slos"]


@pytest.fixture
def document():
    return scenario(lambda _index: {"v1": steady()}, 5)


def replay(tmp_path, document, *flags):
    path = tmp_path / "scenario.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return main(["replay", str(path), *flags])


def test_the_scenario_of_the_documentation_is_replayed(tmp_path, capsys):
    text = f"""
product: {json.dumps(product())}
version: v1
accepted: {{accuracy: {{bad: 100, total: 1000}}}}
blocks:
- at: 300
  counts: {{v1: {{availability: {{bad: 0, total: 1200}}, accuracy: {{bad: 4, total: 40}}}}}}
  coverage: "1.0"
- at: 600
  unavailable: PrometheusUnavailable
facts:
- {{at: 900, upstreamDegraded: [pricing], podsUnhealthy: false}}
events:
- {{at: 9000, retrained: {{version: v2, evaluation: {{accuracy: {{bad: 80, total: 1000}}}}, stableEvaluation: {{accuracy: {{bad: 140, total: 1000}}}}}}}}
- {{at: 9000, retrainingFailed: {{message: out of memory}}}}
- {{at: 9900, modelChanged: {{version: v3}}}}
"""
    assert replay(tmp_path, text) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert list(first) == list(second) == KEYS
    assert list(first["decision"]) == ["type", "reason", "message"]
    assert (first["at"], first["stable"], first["candidate"], first["weight"]) == (
        300,
        "v1",
        None,
        0,
    )
    accuracy = first["slos"]["accuracy"]
    assert (accuracy["bad"], accuracy["total"]) == (4, 40)
    assert second["state"] == "Unknown"
    assert second["slos"]["accuracy"]["reason"] == "PrometheusUnavailable"


TYPES = {
    *("Hold", "Retrain", "StartRollout", "Advance"),
    *("Promote", "Rollback", "Inconclusive", "Alert"),
}


@pytest.mark.slow
def test_the_replay_command_prints_one_line_of_documented_fields_per_block(tmp_path):
    pushed = {"at": 20 * BLOCK, "modelChanged": {"version": "v2"}}
    world = World(product(), {"v1": good(), "v2": good()}, 40, events=[pushed])
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(world.document([])))
    command = [sys.executable, "-m", "sluicegate", "replay", str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [line["at"] for line in lines] == [index * BLOCK for index in range(1, 41)]
    for line in lines:
        assert list(line) == KEYS
        assert set(line["decision"]) == {"type", "reason", "message"}
        assert line["decision"]["type"] in TYPES
        assert line["state"] in {"Healthy", "Degrading", "Degraded", "Unknown"}
        assert set(line["slos"]) == {"availability", "accuracy"}
        assert all({"state", "reason", "bad", "total"} <= set(s) for s in line["slos"].values())
        assert line["decision"]["message"]
        assert isinstance(line["weight"], int)


def test_the_replay_table_counts_repeated_lines(tmp_path, capsys, document):
    assert replay(tmp_path, document, "--output", "table") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[:3] == ["AT", "STATE", "DECISION"]
    assert "2 more evaluations like this" in out


def test_replay_reads_a_scenario_from_standard_input(monkeypatch, capsys, document):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(document)))
    assert main(["replay", "-"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def put(path, value):
    """Set (or with `...` remove) one field of a document."""

    def change(document):
        *way, last = path
        for step in way:
            document = document[step]
        if value is ...:
            del document[last]
        else:
            document[last] = value

    return change


FACT, EVENT = {"at": 300}, {"at": 300}
MISTAKES = {
    "blocks[3].counts.v1.accuracy.bad: -1 is negative": put(
        ("blocks", 3, "counts", "v1", "accuracy", "bad"), -1
    ),
    "blocks[0].counts.v1.accuracy.total: is '40'": put(
        ("blocks", 0, "counts", "v1", "accuracy", "total"), "40"
    ),
    "blocks[0].counts.v1.accuracy.total: is required": put(
        ("blocks", 0, "counts", "v1", "accuracy", "total"), ...
    ),
    "blocks[0].counts.v1.accuracy.worse: is not a field": put(
        ("blocks", 0, "counts", "v1", "accuracy", "worse"), 1
    ),
    "blocks[1].counts.v1.acuracy: is no SLO of the product": put(
        ("blocks", 1, "counts", "v1", "acuracy"), count(0, 1)
    ),
    "blocks[1].counts.v1: is 7": put(("blocks", 1, "counts", "v1"), 7),
    "blocks[1].counts: is []": put(("blocks", 1, "counts"), []),
    "blocks[2].at: 600 is not after the block before it (600)": put(("blocks", 2, "at"), 600),
    "blocks[2].at: is True": put(("blocks", 2, "at"), True),
    "blocks[2].at: is '900'": put(("blocks", 2, "at"), "900"),
    "blocks[2].at: 900.5 is not a whole number": put(("blocks", 2, "at"), 900.5),
    "blocks[0].at: 0 is the start": put(("blocks", 0, "at"), 0),
    "blocks[2].at: is required": put(("blocks", 2, "at"), ...),
    "blocks[2].coverage: is '1.2'": put(("blocks", 2, "coverage"), "1.2"),
    "blocks[2].coverage: is 'all'": put(("blocks", 2, "coverage"), "all"),
    "blocks[2].unavailable: is 'Broken'": put(("blocks", 2, "unavailable"), "Broken"),
    "blocks[2].cuonts: is not a field": put(("blocks", 2, "cuonts"), {}),
    "blocks[2]: is 'x'": put(("blocks", 2), "x"),
    "blocks: is 'none'": put(("blocks",), "none"),
    "blocks: is required": put(("blocks",), ...),
    "version: is required": put(("version",), ...),
    "version: is 1": put(("version",), 1),
    "product: is 'search'": put(("product",), "search"),
    "product.spec.slos[1].objective: ": put(("product", "spec", "slos", 1, "objective"), "1.5"),
    "product.spec.owner: is required": put(("product", "spec", "owner"), ...),
    "accepted.speed: is no SLO of the product": put(("accepted", "speed"), count(0, 1)),
    "blocks[0].counts.v1.accuracy.bad: 0.5 is not a whole number": put(
        ("blocks", 0, "counts", "v1", "accuracy", "bad"), 0.5
    ),
    "product.spec.slos: is empty": put(("product", "spec", "slos"), []),
    "accepted.accuracy.bad: 2000 is more than total (1000)": put(
        ("accepted", "accuracy", "bad"), 2000
    ),
    "scenery: is not a field": put(("scenery",), 1),
    "facts[0].podsUnhealthy: is 'yes'": put(("facts",), [{**FACT, "podsUnhealthy": "yes"}]),
    "facts[0].upstreamDegraded: is 'pricing'": put(
        ("facts",), [{**FACT, "upstreamDegraded": "pricing"}]
    ),
    "facts[0].at: is required": put(("facts",), [{"podsUnhealthy": True}]),
    "events[0]: must hold exactly one of": put(("events",), [EVENT]),
    "events[0].retired: is not a field": put(("events",), [{**EVENT, "retired": {}}]),
    "events[0].retrained.version: is required": put(
        ("events",), [{**EVENT, "retrained": {"evaluation": {}}}]
    ),
    "events[0].retrained.evaluation.accuracy.bad: 3 is more than total (2)": put(
        ("events",),
        [{**EVENT, "retrained": {"version": "v2", "evaluation": {"accuracy": count(3, 2)}}}],
    ),
    "events[0].modelChanged.version: is missing": put(
        ("events",), [{**EVENT, "modelChanged": {"version": None}}]
    ),
    "events[0].modelChanged.version: is required": put(
        ("events",), [{**EVENT, "modelChanged": {}}]
    ),
    "facts[0].at: is 'now'": put(("facts",), [{"at": "now"}]),
    "accepted.accuracy.total: is required": put(("accepted", "accuracy"), {"bad": 1}),
    "blocks[2].unavailable: is 7": put(("blocks", 2, "unavailable"), 7),
    "version: is ''": put(("version",), ""),
    "product.spec.rollout.steps": put(("product", "spec", "rollout"), {"steps": [25, 5]}),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_in_a_scenario_exits_with_2_and_names_its_field(
    tmp_path, capsys, document, message, mistake
):
    wrong = copy.deepcopy(document)
    mistake(wrong)
    assert replay(tmp_path, wrong) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_all_mistakes_of_a_scenario_are_reported_at_once(tmp_path, capsys, document):
    for place in (0, 4):
        document["blocks"][place]["counts"]["v1"]["accuracy"]["bad"] = -1
    assert replay(tmp_path, document) == 2
    err = capsys.readouterr().err
    assert "blocks[0]" in err
    assert "blocks[4]" in err


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "a: b: c", "nonsense", "7", "\x00", "&a [*a]"])
def test_a_malformed_scenario_exits_with_2(tmp_path, capsys, text):
    assert replay(tmp_path, text) == 2
    assert capsys.readouterr().err


def test_a_missing_scenario_file_exits_with_2(tmp_path, capsys):
    assert main(["replay", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_a_scenario_without_blocks_is_valid(tmp_path, capsys, document):
    document["blocks"] = []
    assert replay(tmp_path, document) == 0
    assert capsys.readouterr().out == ""


def test_blocks_of_a_scenario_may_have_any_length(tmp_path, capsys):
    spec = product(analysis={"blockSeconds": 5})
    fast = scenario(
        lambda index: {"v1": steady(0.1 if index < 100 else 0.3)}, 130, seconds=5, product=spec
    )
    assert replay(tmp_path, fast) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    retrain = next(line for line in lines if line["decision"]["type"] == "Retrain")
    assert retrain["at"] == 110 * 5
    assert "last 2 min" in retrain["decision"]["message"]


def test_scenario_blocks_shorter_than_those_of_the_product_are_summed(tmp_path, capsys):
    fine = scenario(lambda index: {"v1": steady(0.1 if index < 500 else 0.3, 20)}, 560, seconds=60)
    assert replay(tmp_path, fine) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["slos"]["accuracy"]["total"] == 24 * 5 * 20
    kinds = [line["decision"]["type"] for line in lines if line["decision"]["type"] != "Hold"]
    assert kinds == ["Retrain"]


def test_scenario_events_may_be_unordered_and_those_after_the_end_are_ignored(tmp_path, capsys):
    wrong_way = scenario(
        lambda _index: {"v1": steady()},
        55,
        events=[
            {"at": 10**6, "modelChanged": {"version": "v9"}},
            {"at": 50 * BLOCK, "modelChanged": {"version": "v3"}},
        ],
    )
    assert replay(tmp_path, wrong_way) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["candidate"] == "v3"
