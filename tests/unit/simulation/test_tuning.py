"""`sluicegate tune` and `replay --with`: what another policy would have done to a history."""

from __future__ import annotations

import json
from itertools import pairwise
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sluicegate.__main__ import main
from sluicegate.policy.model.terms import terms_of
from sluicegate.simulation import tuning
from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_scenario import ReplayBlock, parse_scenario
from sluicegate.simulation.tuning import Tuning, block_with_lower_ratio, tune_slos
from sluicegate.slo.blocks import Quality
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, count, product, scenario

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

EASY = {**AVAILABILITY, "objective": "0.98"}
DAY = 288


def history(
    days: float = 2, *, slo: dict[str, Any] = EASY, hours_broken: float = 1.5
) -> dict[str, Any]:
    """Days of 400 requests a block, towards the end of which three of ten fail for some hours."""
    last = int(days * DAY)
    broken = range(last * 9 // 10, last * 9 // 10 + int(hours_broken * 12))

    def counts(index: int) -> dict[str, Any]:
        bad = 120 if index in broken else 4 + index % 3
        return {"v1": {"availability": count(bad, 400)}}

    return scenario(counts, last, product=product(slo), accepted=None)


@pytest.fixture(scope="module")
def tuned() -> Tuning:
    (one,) = tune_slos(parse_scenario(history()), quiet_days=2)
    return one


def test_the_alarms_of_the_unchanged_slo_equal_those_of_a_replay(tuned: Tuning):
    states = [(step.at, step.evaluation.state) for step in replay(parse_scenario(history()))]
    begun = [at for (_, before), (at, state) in pairwise(states) if state == "Degraded" != before]
    assert list(tuned.now.alarms) == begun
    assert len(begun) == 1


def test_a_stricter_objective_detects_a_drop_no_later(tuned: Tuning):
    found = [objective.detection for objective in tuned.objectives]
    assert all(one is not None for one in found)
    assert found == sorted(one for one in found if one is not None)
    assert found[0] is not None
    assert isfinite(found[0])


def test_the_proposed_objective_is_the_strictest_with_at_most_one_alarm(tuned: Tuning):
    for made in (tuned.objectives, tuned.drops):
        (proposed,) = [one for one in made if one.proposed]
        quiet = [one for one in made if len(one.alarms) <= 1]
        assert proposed is quiet[0]


@pytest.mark.parametrize(
    ("days", "notes"),
    [
        (2, ["history too short for a proposal (2 d of 14 d)"]),
        (
            0.5,
            [
                "history too short for a proposal (12 h of 14 d)",
                "history too short for the traffic of a day (12 h of 1 d)",
            ],
        ),
    ],
)
def test_a_history_that_is_shorter_than_the_time_between_alarms_has_no_proposal(
    days: float, notes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = write(tmp_path, "history.yaml", history(days, hours_broken=0))
    assert main(["tune", file]) == 0
    table = capsys.readouterr().out
    canaries = table.index("CANARY OF AN EQUAL VERSION")

    assert "proposed" not in table[:canaries].replace("is proposed", "")
    assert ("proposed" in table[canaries:]) == (days >= 1)
    assert [
        line.partition(":")[0].strip() for line in table.splitlines() if "too short" in line
    ] == notes


def test_a_wider_margin_shortens_the_canary(tuned: Tuning):
    times = [margin.canary for margin in tuned.margins]
    terms = terms_of(parse_scenario(history()).product)
    (proposed,) = [margin for margin in tuned.margins if margin.proposed]

    assert times == sorted(times, reverse=True)
    assert proposed.canary <= terms.max_duration_seconds / 2
    assert [margin.value for margin in tuned.margins if margin.current] == [terms.slos[0].margin]


def test_a_drop_within_the_objective_is_never_detected(monkeypatch):
    monkeypatch.setattr(tuning, "WATCHED_SECONDS", 4 * 3600)
    lax = {**EASY, "objective": "0.5"}
    (one,) = tune_slos(parse_scenario(history(1, slo=lax, hours_broken=0)), ratio_drop=0.01)
    assert one.now.detection == inf


def test_an_alarm_on_the_unchanged_history_is_no_detection():
    lax = {**EASY, "objective": "0.5"}
    (one,) = tune_slos(parse_scenario(history(slo=lax)), ratio_drop=0.01)
    assert one.now.alarms
    assert one.now.detection is None


def test_a_lowered_history_has_exactly_so_many_more_bad_events():
    rest, more = 0.0, 0.0
    for _ in range(100):
        block = ReplayBlock(300, {"v1": {"availability": (1, 33)}})
        block, rest = block_with_lower_ratio(block, "availability", 0.05, rest)
        count = block.counts["v1"]["availability"]
        assert not isinstance(count, Quality)
        more += count[0] - 1
    assert more == round(0.05 * 33 * 100)


def write(folder: Path, name: str, document: Any) -> str:
    path = folder / name
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_the_json_of_tune_has_each_alternative(tmp_path, capsys):
    file = write(tmp_path, "history.yaml", history(1))
    assert main(["tune", file, "-o", "json", "--drop", "0.05", "--alarm-days", "1"]) == 0
    (slo,) = json.loads(capsys.readouterr().out)["slos"]
    assert slo["name"] == "availability"
    assert slo["drop"] == 0.05
    assert (slo["historySeconds"], slo["neededSeconds"]) == (86_400, 86_400)
    assert slo["current"]["objective"] == 0.98
    for field, name in (("objectives", "objective"), ("maxDrops", "maxDrop")):
        assert [one for one in slo[field] if one["proposed"]]
        assert all(0 < one[name] < 1 for one in slo[field])


def test_the_table_and_the_chart_of_tune_name_the_slo(tmp_path, capsys):
    file, picture = write(tmp_path, "history.yaml", history(1)), tmp_path / "tune.svg"
    assert main(["tune", file, "--picture", str(picture), "--alarm-days", "1"]) == 0
    table = capsys.readouterr().out
    assert table.startswith("availability: 96.95 % good of 115,200 events")
    assert "A DROP OF 10 POINTS IS FOUND AFTER" in table
    assert "maxRegression" in table
    svg = picture.read_text()
    assert svg.startswith("<svg")
    assert all(text in svg for text in ("availability", "proposed objective", "maxRegression"))


def test_tune_refuses_a_history_without_events(tmp_path, capsys):
    file = write(
        tmp_path, "history.yaml", scenario(lambda _: {}, 5, product=product(EASY), accepted=None)
    )
    assert main(["tune", file]) == 2
    assert "holds no events" in capsys.readouterr().err


# ---- another policy --------------------------------------------------------------------------
def states(capsys: pytest.CaptureFixture[str], *arguments: str) -> set[str]:
    assert main(["replay", *arguments]) == 0
    return {json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()}


def test_replay_judges_a_history_by_another_policy(tmp_path, capsys):
    file = write(tmp_path, "history.yaml", history(1))
    strict = write(tmp_path, "strict.yaml", product({**EASY, "objective": "0.995"}))
    assert "Degraded" not in states(capsys, file)
    assert "Degraded" in states(capsys, file, "--with", strict)


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (product(EASY, analysis={"blockSeconds": 60}), "spec.analysis.blockSeconds"),
        (product(ACCURACY), "spec.slos[0].name"),
        (
            product({**EASY, "indicator": {"latency": {"thresholdMilliseconds": 250}}}),
            "spec.slos[0].indicator",
        ),
        (product(slos=[]), "spec.slos"),
    ],
)
def test_replay_refuses_a_policy_with_different_indicators(tmp_path, capsys, policy, field):
    file = write(tmp_path, "history.yaml", history(0.1))
    assert main(["replay", file, "--with", write(tmp_path, "policy.yaml", policy)]) == 2
    assert field in capsys.readouterr().err
