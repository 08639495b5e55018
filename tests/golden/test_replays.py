"""Scenarios and what `sluicegate replay` prints for each: read them to learn it."""

from pathlib import Path

import pytest

from sluicegate.__main__ import main

SCENARIOS = Path(__file__).parents[1] / "data" / "scenarios"


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_replay_of_a_scenario_prints_its_golden_table(scenario, golden, capsys):
    assert main(["replay", str(scenario), "--output", "table"]) == 0
    golden(scenario.with_suffix(".txt"), capsys.readouterr().out)
